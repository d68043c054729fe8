-- wrk's script: sends the lines of a file (`METHOD PATH [BODY]`) in turn, and sums up as one line of JSON.
-- Arguments: the file, the milliseconds that each connection waits before a request, and "statuses" to count every answer
-- by its status (which costs wrk some speed).

local lines, position = {}, 0
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  for line in io.lines(args[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    lines[#lines + 1] = wrk.format(method, path, nil, body ~= "" and body or nil)
  end
  local pause = tonumber(args[2])
  if pause > 0 then
    delay = function() return pause end
  end
  counted = ""
  if args[3] == "statuses" then
    local count = {}
    response = function(status)
      count[status] = (count[status] or 0) + 1
      local parts = {}
      for code, number in pairs(count) do
        parts[#parts + 1] = string.format('"%d": %d', code, number)
      end
      counted = table.concat(parts, ", ")
    end
  end
end

function request()
  position = position % #lines + 1
  return lines[position]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, "broken": %d, "statuses": {%s}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, threads[1]:get("counted")))
end
