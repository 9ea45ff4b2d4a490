"""How much memory a process of a test took: source to put before what it runs.

`getrusage` does not tell it: a child's `ru_maxrss` begins at that of the process which started it,
so under a test runner that has grown, a test of a bound fails, and one of growth cannot.
"""

PEAK_KIB = """
def peak_kib():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
"""
