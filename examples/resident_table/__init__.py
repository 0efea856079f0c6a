"""A large column of numbers, held in pieces by the processes that made or read them. See ``resident_chart.py``.

chunk      some rows, on their way from a source to a shard
made_up    a source: temperatures from a seed
csv_part   a source: some lines of a CSV file            parquet_part   some rows of a Parquet file
sketch     quantiles that can be added up
shard      what one process holds, and what it can be asked
answer     asking all shards, and adding up what they say
compare    the same work in one process                  picture        the chart
"""
