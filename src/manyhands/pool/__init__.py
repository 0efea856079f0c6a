"""Pool and Executor: a function over many inputs, on every core, whatever hands there are."""
