"""L1: engines that run containers, and what belongs to them: images, the agent, directories, sockets."""
