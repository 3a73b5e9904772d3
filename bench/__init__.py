"""The benchmark: what the product promises in figures, measured beside what people use today.

    __main__ -> one `worker` process per row -> `rows/*` -> Outcome (raw samples) -> `report`

How a figure comes about, and why it can be believed:

- Ours and the baselines alternate within one run (`measure.interleave`), in an order that turns with every
  iteration, so that a slow minute of the machine is shared by all of them.
- Before every sample `calm.Calm` waits for a condition, never for a time: containers of the sample before are gone,
  the pool's refill has ended, and nothing that this run started uses the processor.
- A row has a process of its own: its environment and configuration are its own, and when it hangs or dies, the
  main process ends whatever it left (`processes`), then its containers (`lab`).
- Nothing here knows a result: rows give samples, `model` makes medians of them and holds them against targets.
"""
