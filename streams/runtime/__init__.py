"""What makes Faust a batch engine that loses nothing: transport, tasks, state topics, transactional flush, recovery.

Read in this order: ``batch`` (what a fetch becomes), ``task`` (the pure heart), ``intake`` (what comes in),
``transaction`` (what goes out), ``state`` (what a flush leaves behind), ``writer`` (one transaction), ``recovery``,
``offsets`` (where reading starts), ``alignment`` (topics in step), ``transport`` (Faust and aiokafka), ``application``
(the shell of a room), ``sink`` (rooms without state), ``memory`` (the whole line without Kafka). The ONLY package that
touches private parts of Faust or aiokafka; ``overrides`` lists each of them.
"""
