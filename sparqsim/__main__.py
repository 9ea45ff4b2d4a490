"""`python -m sparqsim`."""

from sparqsim.cli import main

if __name__ == "__main__":
    main()
