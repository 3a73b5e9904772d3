"""The agent: process 1 of every workspace container.

It runs inside, mounted read-only, on whatever Python the image has: standard library only, Python 3.9 or
newer, nothing of the host package imported. What it does, a file each:

    seccomp        a second filter over the engine's: no set-id programs, no other project, no io_uring
    launch         starts the zygote, first of all
    protocol       frames on the wire, shared with the host
    supervisor     listens, answers requests, ends the container when its lease is over
    loop, link     the event loop; one connection from the host
    kernels        kernels and commands: how one starts, ends, and is reported
    process        one process: its signals, its last words, its end
    procself       what a process says about itself to the Linux kernel
    lease          when the container has to end
    cgroup         what the container uses, and whether the kernel's killer was here
    zygote         a second program: the interpreter that kernels are forked from
    zygote_link    the agent's side of it
    spare          what a forked kernel does before and after it is claimed (imports ipykernel)
    lazy_debugger  a stand-in for debugpy until somebody debugs
    offline, journal, spool, replies   what a kernel prints while nobody listens, kept (in the kernel)
    variables, variables_*   a kernel's variables: saved by a forked child, tried, brought back (in the kernel)
    guard          ends a terminal's session when the server that held it is gone
    repl           sent as text to a kernel or an interpreter: variables, packages

Trust: the host trusts nothing the agent says; the agent obeys whoever reaches its socket from *outside* the
container's process namespace and nobody inside it (`SO_PEERCRED` gives pid 0 for a peer outside).
"""
