"""The agent: process 1 of every workspace container.

It runs inside, mounted read-only, on whatever Python the image has: standard library only, Python 3.9 or
newer, nothing of the host package imported. What it does, a file each:

    protocol     frames on the wire, shared with the host
    supervisor   the event loop: connections, requests, children, time limits
    kernels      kernels and commands: how one starts, ends, and is reported
    lease        when the container has to end
    cgroup       what the container uses, and whether the kernel's killer was here
    zygote       a second program: the interpreter that kernels are forked from
    spare        what a forked kernel does before and after it is claimed (imports ipykernel)

Trust: the host trusts nothing the agent says; the agent obeys whoever reaches its socket from *outside* the
container's process namespace and nobody inside it (`SO_PEERCRED` gives pid 0 for a peer outside).
"""
