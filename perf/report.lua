-- One line for perf/run: requests, bytes, microseconds, p99 microseconds, errors.
done = function(summary, latency)
   local e = summary.errors
   io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.bytes,
      summary.duration, latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
