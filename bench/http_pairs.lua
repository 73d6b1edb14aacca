-- For wrk: creates conversations, each for another user, and ends each with
-- the next request, whichever connection that goes over. bench/http_api.py.

local ended, made, users, name = 0, 0, 0, ""
local waiting = {}
local json = { ["Content-Type"] = "application/json" }

function init(args)
  name = args[1]
end

function request()
  if ended < made then
    ended = ended + 1
    local path = waiting[ended]
    waiting[ended] = nil
    return wrk.format("DELETE", path)
  end
  users = users + 1
  local body = string.format('{"user_id": "%s-%d"}', name, users)
  return wrk.format("POST", "/api/tavus/conversation/create", json, body)
end

function response(status, _, body)
  local user = body:match('"user_id": ?"([^"]+)"')
  if status == 200 and user then
    local id = body:match('"conversation_id": ?"([^"]+)"')
    made = made + 1
    waiting[made] = string.format(
      "/api/tavus/conversation/%s?user_id=%s", id, user
    )
  end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "duration_us": %d, "failed": %d, '
      .. '"p50_us": %d, "p99_us": %d}',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status
      + errors.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
