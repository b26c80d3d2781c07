-- For wrk: one command a request. Each gives the next of NODES nodes labels that it never had, so that each becomes an event.
local nodes = tonumber(os.getenv("PEER_NODES"))
local stamp = os.getenv("PEER_STAMP")
local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. os.getenv("PEER_TOKEN") }
local sent = 0

function request()
    sent = sent + 1
    local body = string.format(
        '{"commands":[{"type":"label_node","id":"n-%d","labels":{"round":"%s-%d","site":"lund"}}]}', sent % nodes, stamp, sent)
    return wrk.format("POST", "/v1/commands", headers, body)
end

-- The last line of the output, for the program that started wrk.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\n', summary.requests, summary.duration,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
