"""Networks of the tests and of the accuracy tables; weights are read from the shared data, never
copied.
"""

import torch

# One order of additions in float, whatever the machine; and tests that run side by side do not wait
# for each other.
torch.set_num_threads(1)
