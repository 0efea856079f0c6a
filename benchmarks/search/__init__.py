"""The search engine beside ripgrep, on the same files, from page cache, in one run: ``python -m benchmarks search``.

::

    command     the command line, and the run from its first stage to the table
    settings    what all stages must know
    corpus      the folder that is searched, and where the kernel's sources come from
    questions   what is asked of both, and in which ways ours is read
    goals       what each figure should come to
    stages      the stages, each a fresh process under a watchdog
    stage       the other end: runs one, prints its measurements as they are made
    loading     a stage: load, index, memory, and which files
    queries     a stage: all questions, in turn with ripgrep; crowd: many at once
    oneshot     a stage: the command ``manyhands search``, whole processes
    live        a stage: from a file's save to its line being found
    service_*   stages: the service over HTTP: service_load, many connections at once; service_delay, one question
                after another, and long answers; service_slow, clients that hardly read; service_command, the
                command that a service answers
    service     the service itself, as a process; service_wire: HTTP to it; service_client and service_wrk: who asks
    programs    a whole process, timed; ripgrep: the rival's command lines
    agreement   do both find the same lines?
    samples     rare words, out of the text; memory: what processes hold
    table       the figures, their goals and the verdicts

Always true: a figure of ours stands beside ripgrep's of the same run, and only if both found the same number of lines;
the service's stands beside that of the Python API, or of the bare interpreter.
"""
