-- Shows longlink in Wireshark and tshark: frames, messages, replies, and what is wrong with them.
--
-- Copy this file into Wireshark's folder for personal Lua plugins (Help > About Wireshark > Folders), or try it with
--
--     tshark -X lua_script:longlink.lua -r demo.pcap
--
-- It takes TCP port 8080, and on other ports what begins like longlink, Mars, goim or Bilibili live. Further ports:
-- Preferences > Protocols > LONGLINK. One reads a frame here as the library does: what the library refuses is marked
-- as an error.
--
-- For Lua 5.2 to 5.4, Wireshark 4.0 and later. From the top: dialects, fields, preferences, what is remembered,
-- bodies, frames, streams.

local longlink = Proto("longlink", "longlink")

------------------------------------------------------------------------------------------------------------------------
-- Dialects: the numbers of each protocol of the family.

local BILLION = 1000000000
local LAST_SEQUENCE = 0xFFFFFFEF
local SKIP_FACTOR = 16 -- a frame that is longer than the limit is skipped, if by no more than this

local function plus_a_billion(command)
    return (command + BILLION) % 4294967296
end

-- Numbers of 32 bits: "%d" of Lua 5.2 takes no more than 31 on Windows.
local function format(text, ...)
    return string.format((text:gsub("%%d", "%%.0f")), ...)
end

local function from_list(list)
    return function(command) return list[command] or command end
end

local GOIM_COMMANDS = {
    to_server = {
        [2] = "heartbeat", [4] = "message", [7] = "authentication", [12] = "change room", [14] = "subscribe",
        [16] = "unsubscribe",
    },
    to_device = {
        [3] = "heartbeat reply", [5] = "push", [8] = "authentication reply", [9] = "batch", [13] = "change room reply",
        [15] = "subscribe reply", [17] = "unsubscribe reply",
    },
}

local DIALECTS = {
    longlink = {
        name = "longlink", header = 16, lowest = 1, highest = 1, longest = 65792, native = true,
        reply_to = plus_a_billion,
        to_server = {
            [6] = "heartbeat", [205] = "hello", [237] = "message", [241] = "transfer", [239] = "chunk", [121] = "sync",
            [125] = "fetch", [1000000190] = "sync done", [247] = "goaway",
        },
        to_device = {
            [6] = "heartbeat reply", [1000000006] = "heartbeat reply", [1000000205] = "hello reply",
            [1000000237] = "message reply", [1000000241] = "transfer reply", [1000000239] = "chunk reply",
            [1000000121] = "sync reply", [1000000125] = "fetch reply", [24] = "notify", [122] = "push",
            [247] = "goaway",
        },
    },
    mars = {
        name = "mars", header = 20, lowest = 200, highest = 200, longest = 1048576, reply_to = from_list({}),
        to_server = { [6] = "heartbeat", [237] = "message", [243] = "signalling keep-alive" },
        to_device = { [6] = "heartbeat reply", [10001] = "push" },
    },
    goim = {
        name = "goim", header = 16, lowest = 1, highest = 1, longest = 4112, batch = 9, counts = true,
        reply_to = from_list({ [2] = 3, [7] = 8, [12] = 13, [14] = 15, [16] = 17 }),
        to_server = GOIM_COMMANDS.to_server, to_device = GOIM_COMMANDS.to_device,
    },
    bilibili = {
        name = "bilibili", header = 16, lowest = 0, highest = 3, longest = 65792, counts = true, compresses = true,
        reply_to = from_list({ [2] = 3, [7] = 8 }),
        to_server = { [2] = "heartbeat", [4] = "message", [7] = "authentication" },
        to_device = { [3] = "heartbeat reply", [5] = "push", [8] = "authentication reply" },
    },
}
local MAX_HEADER = 256
local ONE_WAY = { ["sync done"] = true, goaway = true, notify = true, push = true, batch = true }

------------------------------------------------------------------------------------------------------------------------
-- Fields: the names to filter by are "longlink." and these.

local f = {}

local function field(kind, name, label, ...)
    f[name] = ProtoField[kind]("longlink." .. name, label, ...)
end

local HELLO_STATUS = {
    [0] = "ok", "malformed", "version not spoken", "token refused", "token expired", "epoch too old",
    "link number too low", "device refused", "busy", "moved",
}
local REJECTION = {
    "malformed", "too large", "too old", "out of order", "not greeted", "refused by the application", "quota",
}
local TRANSFER_OP = { [0] = "open or resume", "status", "abort" }
local TRANSFER_STATUS = {
    [0] = "go on", "complete", "too large", "too many", "known with another total, chunk or checksum", "key not known",
    "checksum wrong, start again", "busy",
}
local CHUNK_REFUSAL = { "malformed", "handle not known", "contradicts the transfer", "quota" }
local SYNC_STATUS = { [0] = "ok", "reset all", "retry later", "bad request", "not this device" }
local FETCH_STATUS = { [0] = "ok", "gone", "retry later", "bad request", "not this device", "other epoch" }
local GOAWAY_CODE = {
    [0] = "done", "restart", "overload", "replaced by another link", "token expired", "idle", "protocol error",
    "blocked", "moved",
}

field("string", "name", "What it is")
field("string", "dialect", "Dialect")
field("string", "from", "Sent by")
field("uint32", "length", "Frame length")
field("uint32", "header_length", "Header length")
field("uint32", "body_length", "Body length")
field("uint32", "version", "Version")
field("uint32", "command", "Command")
field("uint32", "sequence", "Sequence")
field("bytes", "extension", "Header extension")
field("bytes", "body", "Body")
field("string", "text", "Text")
field("string", "compression", "Compression")
field("uint32", "online", "People online")
field("bytes", "trailing", "Bytes behind the body's last field")
field("bytes", "lost", "Bytes that are no frames")
field("framenum", "request_in", "Request in", base.NONE, frametype.REQUEST)
field("framenum", "response_in", "Reply in", base.NONE, frametype.RESPONSE)
field("relative_time", "time", "Time from request to reply")
field("framenum", "first_sent_in", "Sent before in", base.NONE, frametype.RETRANS_PREV)
field("uint32", "reserved", "Reserved", base.HEX)

field("uint8", "hello.version", "Version")
field("uint8", "hello.flags", "Flags", base.HEX)
field("bool", "hello.resume", "Holds state of this epoch", 8, nil, 1)
field("uint16", "hello.heartbeat", "Longest silence, seconds")
field("uint32", "hello.epoch", "Epoch of the messages")
field("uint64", "hello.device", "Device")
field("uint32", "hello.link", "Link number")
field("uint32", "hello.max_frame", "Longest frame taken")
field("uint16", "hello.token_length", "Token length")
field("bytes", "hello.token", "Token")

field("uint8", "hello_reply.version", "Version", base.DEC, nil, 0x7F)
field("bool", "hello_reply.mark", "Is an answer", 8, nil, 0x80)
field("uint8", "hello_reply.status", "Status", base.DEC, HELLO_STATUS)
field("uint8", "hello_reply.flags", "Flags", base.HEX)
field("bool", "hello_reply.resumed", "The window of this epoch was kept", 8, nil, 1)
field("uint8", "hello_reply.bitmap_length", "Bitmap length")
field("uint16", "hello_reply.idle", "Idle time-out, seconds")
field("uint32", "hello_reply.epoch", "Epoch in force")
field("uint32", "hello_reply.link", "Link number greeted last")
field("uint32", "hello_reply.max_frame", "Longest frame taken")
field("uint32", "hello_reply.last", "Highest message stored")
field("uint32", "hello_reply.retry_after", "Retry after, ms")
field("bytes", "hello_reply.bitmap", "Bitmap of messages stored")
field("string", "hello_reply.stored", "Messages stored")

field("uint16", "message_reply.code", "Rejected", base.DEC, REJECTION)
field("uint16", "message_reply.detail", "Detail")

field("uint8", "transfer.version", "Version")
field("uint8", "transfer.op", "Operation", base.DEC, TRANSFER_OP)
field("uint16", "transfer.chunk", "Chunk length")
field("uint32", "transfer.total", "Payload length")
field("uint32", "transfer.crc", "CRC-32C of the payload", base.HEX)
field("bytes", "transfer.key", "Key")
field("uint8", "transfer_reply.version", "Version")
field("uint8", "transfer_reply.status", "Status", base.DEC, TRANSFER_STATUS)
field("uint16", "transfer_reply.ranges", "Ranges")
field("uint32", "transfer_reply.handle", "Handle")
field("uint32", "transfer_reply.missing", "Chunks missing")
field("uint32", "transfer_reply.retry_after", "Retry after, ms")
field("uint32", "transfer_reply.range.offset", "Missing from")
field("uint32", "transfer_reply.range.length", "Missing bytes")
field("uint32", "chunk.handle", "Handle")
field("uint32", "chunk.offset", "Offset")
field("uint32", "chunk.total", "Payload length")
field("bytes", "chunk.bytes", "Bytes")
field("uint16", "chunk_reply.code", "Refused", base.DEC, CHUNK_REFUSAL)

field("uint8", "sync.version", "Version")
field("uint8", "sync.flags", "Flags", base.HEX)
field("bool", "sync.all", "Keys not listed are wanted too", 8, nil, 1)
field("bool", "sync.continue", "Goes on after a page", 8, nil, 2)
field("bool", "sync.retry", "Was asked before in vain", 8, nil, 4)
field("uint16", "sync.keys", "Entries")
field("uint32", "sync.epoch", "Epoch of the mailbox")
field("uint16", "sync.max_items", "Items wanted at most")
field("uint16", "sync.hold", "An empty answer may wait, seconds")
field("uint32", "sync.max_bytes", "Answer of so many bytes at most")
field("uint8", "sync_reply.version", "Version")
field("uint8", "sync_reply.status", "Status", base.DEC, SYNC_STATUS)
field("uint16", "sync_reply.keys", "Entries")
field("uint32", "sync_reply.epoch", "Epoch of the mailbox")
field("uint16", "sync_reply.items", "Items")
field("uint16", "sync_reply.flags", "Flags", base.HEX)
field("bool", "sync_reply.more", "More is to come", 16, nil, 1)
field("uint32", "sync_reply.items_length", "Bytes of items")
field("uint32", "sync_reply.retry_after", "Retry after, ms")
field("uint16", "entry.key", "Key")
field("uint16", "entry.flags", "Flags", base.HEX)
field("bool", "entry.reset", "Begins anew", 16, nil, 2)
field("bool", "entry.gap", "Something is gone", 16, nil, 4)
field("uint64", "entry.val", "Val")
field("uint16", "item.key", "Key")
field("uint8", "item.op", "Operation")
field("uint8", "item.flags", "Flags", base.HEX)
field("bool", "item.stub", "Only the first bytes", 8, nil, 1)
field("uint32", "item.length", "Length here")
field("uint64", "item.val", "Val")
field("uint32", "item.total", "Length in all")
field("bytes", "item.bytes", "Bytes")
field("uint8", "sync_done.version", "Version")
field("uint8", "sync_done.flags", "Flags", base.HEX)
field("uint16", "sync_done.keys", "Entries")
field("uint32", "sync_done.epoch", "Epoch of the mailbox")
field("uint8", "notify.version", "Version")
field("uint8", "notify.flags", "Flags", base.HEX)
field("bool", "notify.something", "Something is new, not said what", 8, nil, 1)
field("uint16", "notify.keys", "Entries")
field("uint32", "notify.epoch", "Epoch of the mailbox")
field("uint8", "fetch.version", "Version")
field("uint8", "fetch.flags", "Flags", base.HEX)
field("uint16", "fetch.key", "Key")
field("uint32", "fetch.epoch", "Epoch of the mailbox")
field("uint64", "fetch.val", "Val")
field("uint32", "fetch.offset", "Offset")
field("uint32", "fetch.max", "Answer of so many bytes at most")
field("uint8", "fetch_reply.version", "Version")
field("uint8", "fetch_reply.status", "Status", base.DEC, FETCH_STATUS)
field("uint32", "fetch_reply.total", "Length in all")
field("uint32", "fetch_reply.offset", "Offset")
field("uint32", "fetch_reply.retry_after", "Retry after, ms")
field("bytes", "fetch_reply.bytes", "Bytes")
field("uint8", "goaway.version", "Version")
field("uint8", "goaway.code", "Code", base.DEC, GOAWAY_CODE)
field("uint32", "goaway.retry_after", "Retry after, ms")

longlink.fields = f

local function remark(name, label, group, severity)
    return ProtoExpert.new("longlink." .. name, label, expert.group[group], expert.severity[severity])
end

local malformed_header = remark("malformed_header", "Header that the library refuses", "MALFORMED", "ERROR")
local malformed_body = remark("malformed_body", "Body that the library refuses", "MALFORMED", "ERROR")
local odd = remark("odd", "Odd, and to be passed over", "PROTOCOL", "WARN")
local unasked = remark("unasked", "Reply without a request", "SEQUENCE", "WARN")
local sent_again = remark("sent_again", "Message sent again", "SEQUENCE", "NOTE")
local refused = remark("refused", "Refused", "RESPONSE_CODE", "NOTE")
longlink.experts = { malformed_header, malformed_body, odd, unasked, sent_again, refused }

------------------------------------------------------------------------------------------------------------------------
-- Preferences.

local prefs = longlink.prefs
prefs.ports = Pref.range("TCP ports", "8080", "Servers whose dialect is found out by the first frame", 65535)
prefs.native_ports = Pref.range("TCP ports of longlink", "", "Servers that speak the native dialect", 65535)
prefs.mars_ports = Pref.range("TCP ports of Mars", "", "Servers that speak Tencent Mars' dialect", 65535)
prefs.goim_ports = Pref.range("TCP ports of goim", "", "Servers that speak goim's dialect", 65535)
prefs.bilibili_ports = Pref.range("TCP ports of Bilibili", "", "Servers that speak Bilibili live's dialect", 65535)
prefs.longest = Pref.uint("Longest frame", 0, "The longest frame in bytes, if another one than the dialect's; 0 if not")

local PORT_PREFERENCES = { "native_ports", "mars_ports", "goim_ports", "bilibili_ports", "ports" }

-- What the preferences say: { low, high, name of the preference }.
local claims = {}

local function read_claims()
    claims = {}
    for _, name in ipairs(PORT_PREFERENCES) do
        for part in prefs[name]:gmatch("[^,]+") do
            local low, high = part:match("^%s*(%d+)%s*%-?%s*(%d*)%s*$")
            if low then
                claims[#claims + 1] = { low = tonumber(low), high = tonumber(high ~= "" and high or low), name = name }
            end
        end
    end
end

-- The first preference that names the port: "goim_ports".
local function claimed_by(port)
    for _, claim in ipairs(claims) do
        if port >= claim.low and port <= claim.high then
            return claim.name
        end
    end
end

------------------------------------------------------------------------------------------------------------------------
-- What is remembered of a capture. Wireshark reads packets in order once, and then again in any order: what the
-- first reading found out is kept under the packet's number.

local tcp_stream = Field.new("tcp.stream")
local streams, seen, messages

function longlink.init()
    -- By the number of the TCP stream: dialect, client, and what waits for a reply.
    streams = {}
    -- By frame: the request that it answers, the packet of its reply, the packet that had the same message before.
    seen = {}
    -- By device, epoch, number and token, which tells the account: who sent it first, and how it began.
    messages = {}
end

local function current_stream()
    local index = tcp_stream() and tcp_stream().value or 0
    if not streams[index] then
        streams[index] = { waiting = {}, lost = {}, entered_lost = {} }
    end
    return streams[index]
end

-- One that sends to a port that is claimed is a device. Where none is or both are, whoever was seen first tells.
local function is_from_server(stream, pinfo)
    local from, to = claimed_by(pinfo.src_port), claimed_by(pinfo.dst_port)
    if (from == nil) ~= (to == nil) then
        return from ~= nil
    end
    return stream.server ~= nil and stream.server == tostring(pinfo.src) .. ":" .. pinfo.src_port
end

-- Only in the first reading.
local function remember(frame)
    local stream, waiting = frame.stream, frame.stream.waiting
    local facts = {}
    seen[frame.key] = facts
    if frame.from_server then
        local key = format("%d:%d", frame.answers or frame.command, frame.sequence)
        local request = waiting[key] and table.remove(waiting[key], 1)
        if request then
            facts.request = request
            request.facts.response = frame.pinfo.number
        end
    elseif not ONE_WAY[frame.name] and frame.sequence ~= 0 then
        local key = format("%d:%d", frame.dialect.reply_to(frame.command), frame.sequence)
        local asked = { number = frame.pinfo.number, at = frame.pinfo.rel_ts, command = frame.command, facts = facts }
        waiting[key] = waiting[key] or {}
        table.insert(waiting[key], asked)
    end
    if frame.name == "message" and not frame.from_server and stream.device then
        local key = format("%s:%d:%d:%s", stream.device, stream.epoch or 0, frame.sequence, stream.token)
        local body = frame.body and frame.body:range(0, math.min(frame.body:len(), 64)):raw() or ""
        local whole = body .. ":" .. frame.length
        if not messages[key] then
            messages[key] = { number = frame.pinfo.number, whole = whole }
        elseif messages[key].whole == whole then
            facts.first_sent = messages[key].number
        end
    end
end

------------------------------------------------------------------------------------------------------------------------
-- Bodies of the native dialect. Each adds what it reads to the tree, and returns the words for the Info column.

local function len(range)
    return range and range:len() or 0
end

local function wrong(frame, text, ...)
    text = format(text, ...)
    frame.tree:add_proto_expert_info(malformed_body, text)
    frame.wrong = text
end

-- How many bits are set, and whether a given one is, without operators that only some versions of Lua have.
local function bit_of(number, n)
    return math.floor(number / 2 ^ n) % 2 == 1
end

local function named(names, number)
    return names[number] or format("code %d", number)
end

local function plural(n, one, many)
    return format("%d %s", n, n == 1 and one or many or one .. "s")
end

-- Adds fields that lie one behind the other: { name, bytes, names of bits in it }. Returns their values by the last
-- part of the name.
local function take(tree, body, fields)
    local values, at = {}, 0
    for _, one in ipairs(fields) do
        local name, size, bits = one[1], one[2], one[3]
        local part = body:range(at, size)
        local item = tree:add(f[name], part)
        for _, bit_name in ipairs(bits or {}) do
            item:add(f[bit_name], part)
        end
        local short = name:match("[^.]+$")
        if size <= 4 then
            values[short] = part:uint()
        elseif size == 8 then
            values[short] = part:uint64()
        end
        at = at + size
    end
    return values
end

local function is_long_enough(frame, body, least)
    if len(body) < least then
        wrong(frame, "body of %d bytes where %d are expected", len(body), least)
        return false
    end
    return true
end

-- Most bodies begin with a version, which is 1.
local function is_known(frame, version)
    if version ~= 1 then
        wrong(frame, "version %d is unknown", version)
    end
    return version == 1
end

local function add_rest(tree, name, body, at)
    if len(body) > at then
        tree:add(f[name], body:range(at))
    end
end

local bodies = {}

bodies["hello"] = function(frame, tree, body)
    if len(body) >= 1 and body:range(0, 1):uint() ~= 1 then
        tree:add(f["hello.version"], body:range(0, 1))
        return wrong(frame, "hello of version %d, 1 is spoken here", body:range(0, 1):uint())
    elseif len(body) < 28 then
        return wrong(frame, "hello of %d bytes, 28 are the least", len(body))
    end
    local hello = take(tree, body, {
        { "hello.version", 1 }, { "hello.flags", 1, { "hello.resume" } }, { "hello.heartbeat", 2 },
        { "hello.epoch", 4 },
        { "hello.device", 8 }, { "hello.link", 4 }, { "hello.max_frame", 4 }, { "reserved", 2 },
        { "hello.token_length", 2 },
    })
    local there = len(body) - 28
    if hello.device == UInt64(0) then
        return wrong(frame, "hello of device 0")
    elseif hello.link == 0 then
        return wrong(frame, "hello of link 0")
    elseif hello.max_frame < 272 then
        return wrong(frame, "longest frame of %d bytes is below 272", hello.max_frame)
    elseif hello.token_length > 1024 then
        return wrong(frame, "token of %d bytes is above 1024", hello.token_length)
    elseif hello.token_length > there then
        return wrong(frame, "token of %d bytes, %d are there", hello.token_length, there)
    end
    if hello.token_length > 0 then
        tree:add(f["hello.token"], body:range(28, hello.token_length))
    end
    add_rest(tree, "trailing", body, 28 + hello.token_length)
    if not frame.pinfo.visited then
        frame.stream.device, frame.stream.epoch = tostring(hello.device), hello.epoch
        frame.stream.token = hello.token_length > 0 and body:range(28, hello.token_length):raw() or ""
    end
    local resumes = bit_of(hello.flags, 0) and ", goes on where it was" or ""
    return format("hello of device %s, link %d%s", tostring(hello.device), hello.link, resumes)
end

-- "1-5, 7": what a bitmap of `last` and those before it says.
local function stored_messages(last, bitmap)
    local runs, sequence = {}, last
    for at = 0, bitmap:len() - 1 do
        local byte = bitmap:range(at, 1):uint()
        for n = 0, 7 do
            if bit_of(byte, n) then
                local run = runs[#runs]
                if run and run.low - 1 == sequence then
                    run.low = sequence
                else
                    runs[#runs + 1] = { low = sequence, high = sequence }
                end
            end
            sequence = sequence > 1 and sequence - 1 or LAST_SEQUENCE
        end
    end
    local words = {}
    for n = #runs, 1, -1 do
        local low, high = runs[n].low, runs[n].high
        words[#words + 1] = low == high and format("%d", low) or format("%d-%d", low, high)
    end
    return table.concat(words, ", ")
end

local function add_window(frame, tree, reply, body)
    local bitmap = body:range(28, reply.bitmap_length)
    tree:add(f["hello_reply.bitmap"], bitmap)
    local stored = stored_messages(reply.last, bitmap)
    if reply.last > LAST_SEQUENCE then
        wrong(frame, "highest sequence %d of a window is above %d", reply.last, LAST_SEQUENCE)
    elseif reply.last == 0 and stored ~= "" then
        wrong(frame, "window has bits, but no highest sequence")
    elseif reply.last ~= 0 and not bit_of(bitmap:range(0, 1):uint(), 0) then
        wrong(frame, "window lacks its highest sequence %d", reply.last)
    else
        tree:add(f["hello_reply.stored"], bitmap, stored ~= "" and stored or "none")
    end
end

bodies["hello reply"] = function(frame, tree, body)
    if len(body) >= 1 and body:range(0, 1):uint() < 128 then
        return wrong(frame, "hello came back as it was sent, it begins with %d", body:range(0, 1):uint())
    elseif len(body) < 28 then
        return wrong(frame, "hello reply of %d bytes, 28 are the least", len(body))
    end
    tree:add(f["hello_reply.mark"], body:range(0, 1))
    local reply = take(tree, body, {
        { "hello_reply.version", 1 }, { "hello_reply.status", 1 },
        { "hello_reply.flags", 1, { "hello_reply.resumed" } },
        { "hello_reply.bitmap_length", 1 }, { "hello_reply.idle", 2 }, { "reserved", 2 }, { "hello_reply.epoch", 4 },
        { "hello_reply.link", 4 }, { "hello_reply.max_frame", 4 }, { "hello_reply.last", 4 },
        { "hello_reply.retry_after", 4 },
    })
    if reply.status ~= 0 then
        add_rest(tree, "trailing", body, 28)
        frame.tree:add_proto_expert_info(refused, "Hello refused: " .. named(HELLO_STATUS, reply.status))
        return "hello refused: " .. named(HELLO_STATUS, reply.status)
    end
    local there = len(body) - 28
    if reply.version ~= 129 then
        return wrong(frame, "hello reply of version %d, 1 was asked", reply.version - 128)
    elseif reply.bitmap_length < 8 or reply.bitmap_length > 128 then
        return wrong(frame, "window of %d bytes is not within 8 to 128", reply.bitmap_length)
    elseif reply.epoch == 0 then
        return wrong(frame, "hello reply names no epoch")
    elseif reply.link == 0 then
        return wrong(frame, "hello reply names no link")
    elseif reply.max_frame < 272 then
        return wrong(frame, "longest frame of %d bytes is below 272", reply.max_frame)
    elseif reply.bitmap_length > there then
        return wrong(frame, "window of %d bytes, %d are there", reply.bitmap_length, there)
    end
    add_window(frame, tree, reply, body)
    add_rest(tree, "trailing", body, 28 + reply.bitmap_length)
    if not frame.pinfo.visited then
        frame.stream.epoch = reply.epoch
    end
    return reply.last == 0 and "hello taken" or format("hello taken, messages stored up to %d", reply.last)
end

-- Without a greeting, the reply to a message is the application's.
bodies["message reply"] = function(frame, tree, body)
    if len(body) == 0 then
        frame.run = " stored"
        return format("message %d stored", frame.sequence)
    elseif not frame.stream.device then
        tree:add(f.body, body)
        return format("reply to message %d, %s", frame.sequence, plural(len(body), "byte"))
    elseif len(body) ~= 4 then
        return wrong(frame, "body of %d bytes where 0 or 4 are expected", len(body))
    end
    local rejection = take(tree, body, { { "message_reply.code", 2 }, { "message_reply.detail", 2 } })
    if rejection.code == 0 then
        return wrong(frame, "0 is no reason for a rejection")
    end
    frame.tree:add_proto_expert_info(refused, "Message rejected: " .. named(REJECTION, rejection.code))
    return format("message %d rejected: %s", frame.sequence, named(REJECTION, rejection.code))
end

bodies["transfer"] = function(frame, tree, body)
    if not is_long_enough(frame, body, 32) then
        return
    elseif len(body) > 32 then
        return wrong(frame, "body of %d bytes where 32 are expected", len(body))
    end
    local open = take(tree, body, {
        { "transfer.version", 1 }, { "transfer.op", 1 }, { "transfer.chunk", 2 }, { "transfer.total", 4 },
        { "transfer.crc", 4 },
        { "reserved", 4 }, { "transfer.key", 16 },
    })
    if not is_known(frame, open.version) then
        return
    elseif not TRANSFER_OP[open.op] then
        return wrong(frame, "operation %d is unknown", open.op)
    elseif open.reserved ~= 0 then
        return wrong(frame, "reserved bits 0x%x are set", open.reserved)
    elseif open.chunk < 256 then
        return wrong(frame, "chunks of %d bytes are below the minimum of 256", open.chunk)
    end
    return format("transfer: %s, %d bytes in chunks of %d", TRANSFER_OP[open.op], open.total, open.chunk)
end

-- What only the request could tell, whether ranges are of whole chunks, is not looked at.
local function add_ranges(frame, tree, body, n)
    local behind = 0
    for at = 16, 16 + 8 * (n - 1), 8 do
        local part = body:range(at, 8)
        local offset, length = part:range(0, 4):uint(), part:range(4, 4):uint()
        local item = tree:add(part, format("Missing: %d bytes from %d on", length, offset))
        take(item, part, { { "transfer_reply.range.offset", 4 }, { "transfer_reply.range.length", 4 } })
        if length == 0 or offset < behind or offset + length > 0xFFFFFFFF then
            return wrong(frame, "range of %d bytes at %d cannot be", length, offset)
        end
        behind = offset + length
    end
end

bodies["transfer reply"] = function(frame, tree, body)
    if not is_long_enough(frame, body, 16) then
        return
    end
    local reply = take(tree, body, {
        { "transfer_reply.version", 1 }, { "transfer_reply.status", 1 }, { "transfer_reply.ranges", 2 },
        { "transfer_reply.handle", 4 }, { "transfer_reply.missing", 4 }, { "transfer_reply.retry_after", 4 },
    })
    local most = reply.status == 0 and 32 or 0
    if not is_known(frame, reply.version) then
        return
    elseif len(body) ~= 16 + 8 * reply.ranges then
        return wrong(frame, "body of %d bytes where %d are expected", len(body), 16 + 8 * reply.ranges)
    elseif reply.ranges > most or reply.status == 0 and reply.missing > 0 and reply.ranges == 0 then
        return wrong(frame, "%d ranges cannot be", reply.ranges)
    elseif reply.status == 0 and reply.handle == 0 then
        return wrong(frame, "handle 0 names no transfer")
    end
    add_ranges(frame, tree, body, reply.ranges)
    if reply.status > 1 then
        frame.tree:add_proto_expert_info(refused, "Transfer: " .. named(TRANSFER_STATUS, reply.status))
    elseif reply.status == 0 then
        return format("transfer: go on, %s missing", plural(reply.missing, "chunk"))
    end
    return "transfer: " .. named(TRANSFER_STATUS, reply.status)
end

bodies["chunk"] = function(frame, tree, body)
    if len(body) < 12 then
        return wrong(frame, "body of %d bytes where 13 are expected", len(body))
    end
    local chunk = take(tree, body, { { "chunk.handle", 4 }, { "chunk.offset", 4 }, { "chunk.total", 4 } })
    local bytes = len(body) - 12
    add_rest(tree, "chunk.bytes", body, 12)
    if chunk.handle == 0 then
        return wrong(frame, "handle 0 names no transfer")
    elseif bytes == 0 then
        return wrong(frame, "body of 12 bytes where 13 are expected")
    elseif chunk.offset + bytes > chunk.total then
        return wrong(frame, "chunk at %d ends beyond the payload of %d bytes", chunk.offset, chunk.total)
    end
    return format("chunk: %s at %d of %d", plural(bytes, "byte"), chunk.offset, chunk.total)
end

bodies["chunk reply"] = function(frame, tree, body)
    if len(body) == 0 then
        return "chunk buffered"
    elseif len(body) ~= 4 then
        return wrong(frame, "body of %d bytes where 0 or 4 are expected", len(body))
    end
    local refusal = take(tree, body, { { "chunk_reply.code", 2 }, { "reserved", 2 } })
    if refusal.code == 0 then
        return wrong(frame, "0 is no reason for a refusal")
    elseif refusal.reserved ~= 0 then
        return wrong(frame, "reserved bits 0x%x are set", refusal.reserved)
    end
    frame.tree:add_proto_expert_info(refused, "Chunk refused: " .. named(CHUNK_REFUSAL, refusal.code))
    return "chunk refused: " .. named(CHUNK_REFUSAL, refusal.code)
end

-- The entries of a cursor: keys ascending, flags only where `flags_known`. Returns { key, val, resets } in order, or
-- nil.
local function take_entries(frame, tree, body, at, n, flags_known)
    local entries, before = {}, -1
    for row = 0, n - 1 do
        local part = body:range(at + 12 * row, 12)
        local item = tree:add(part, format("Key %d: %s", part:range(0, 2):uint(), tostring(part:range(4, 8):uint64())))
        local entry = take(item, part, {
            { "entry.key", 2 }, { "entry.flags", 2, flags_known and { "entry.reset", "entry.gap" } },
            { "entry.val", 8 },
        })
        local unknown = flags_known and entry.flags - entry.flags % 8 + entry.flags % 2 or entry.flags
        if entry.key <= before then
            return wrong(frame, "key %d is not above the one before", entry.key)
        elseif unknown ~= 0 then
            return wrong(frame, "reserved bits 0x%x are set", unknown)
        end
        before = entry.key
        entries[#entries + 1] = entry
    end
    return entries
end

local function are_few_enough(frame, n)
    if n > 64 then
        wrong(frame, "%d entries are above the limit of 64", n)
    end
    return n <= 64
end

bodies["sync"] = function(frame, tree, body)
    if not is_long_enough(frame, body, 16) then
        return
    end
    local request = take(tree, body, {
        { "sync.version", 1 }, { "sync.flags", 1, { "sync.all", "sync.continue", "sync.retry" } }, { "sync.keys", 2 },
        { "sync.epoch", 4 }, { "sync.max_items", 2 }, { "sync.hold", 2 }, { "sync.max_bytes", 4 },
    })
    if not is_known(frame, request.version) then
        return
    elseif request.flags > 7 then
        return wrong(frame, "reserved bits 0x%x are set", request.flags - request.flags % 8)
    elseif not are_few_enough(frame, request.keys) then
        return
    elseif len(body) ~= 16 + 12 * request.keys then
        return wrong(frame, "body of %d bytes where %d are expected", len(body), 16 + 12 * request.keys)
    end
    local entries = take_entries(frame, tree, body, 16, request.keys)
    if not entries then
        return
    elseif request.max_items > 512 then
        return wrong(frame, "%d items are above the limit of 512", request.max_items)
    elseif request.max_bytes < 256 then
        return wrong(frame, "room for %d bytes is below the minimum of 256", request.max_bytes)
    end
    for _, entry in ipairs(entries) do
        if request.epoch == 0 and entry.val ~= UInt64(0) then
            return wrong(frame, "val %s of key %d belongs to no epoch", tostring(entry.val), entry.key)
        end
    end
    local all = bit_of(request.flags, 0)
    if #entries == 0 then
        return all and "sync: what is there?" or "sync: nothing is asked"
    end
    return format("sync: what is new of %s%s?", plural(#entries, "key"), all and " and all others" or "")
end

-- Why an item cannot be where it is: after `before`, and with `entry` of its key.
local function judge_item(item, before, entry)
    local least = before and before.key == item.key and before.val or UInt64(0)
    if before and item.key < before.key then
        return format("item of key %d is below the one before", item.key)
    elseif not entry then
        return format("item of key %d, which has no entry", item.key)
    elseif item.val <= least then
        return format("item %s of key %d is not above the one before", tostring(item.val), item.key)
    elseif item.val > entry.val then
        return format("item %s of key %d is above its entry", tostring(item.val), item.key)
    elseif item.flags > 1 then
        return format("reserved bits 0x%x are set", item.flags - item.flags % 2)
    elseif item.flags == 1 and item.length < 4 then
        return format("stub of %d bytes is too short", item.length)
    elseif item.total and item.total <= item.length - 4 then
        return format("stub of an item of %d bytes, which are all there", item.total)
    end
end

local function take_item(tree, body, at)
    local length = body:range(at + 4, 4):uint()
    if length > len(body) - at - 16 then
        return nil
    end
    local part = body:range(at, 16 + length)
    local text = format("Item %s of key %d", tostring(part:range(8, 8):uint64()), part:range(0, 2):uint())
    local subtree = tree:add(part, text)
    local item = take(subtree, part, {
        { "item.key", 2 }, { "item.op", 1 }, { "item.flags", 1, { "item.stub" } }, { "item.length", 4 },
        { "item.val", 8 },
    })
    local bytes = 16
    if item.flags == 1 and length >= 4 then
        subtree:add(f["item.total"], part:range(16, 4))
        item.total, bytes = part:range(16, 4):uint(), 20
    end
    add_rest(subtree, "item.bytes", part, bytes)
    return item
end

local function take_items(frame, tree, body, at, n, entries)
    local by_key, before, found, begin = {}, nil, 0, at
    for _, entry in ipairs(entries) do
        by_key[entry.key] = entry
    end
    while at + 16 <= len(body) do
        local item = take_item(tree, body, at)
        if not item then
            break
        end
        local why = judge_item(item, before, by_key[item.key])
        if why then
            return wrong(frame, "%s", why)
        end
        at, found, before = at + 16 + item.length, found + 1, item
    end
    if found ~= n or at ~= len(body) then
        wrong(frame, "%d items do not take %d bytes", n, len(body) - begin)
    end
end

bodies["sync reply"] = function(frame, tree, body)
    if not is_long_enough(frame, body, 20) then
        return
    end
    local reply = take(tree, body, {
        { "sync_reply.version", 1 }, { "sync_reply.status", 1 }, { "sync_reply.keys", 2 }, { "sync_reply.epoch", 4 },
        { "sync_reply.items", 2 }, { "sync_reply.flags", 2, { "sync_reply.more" } }, { "sync_reply.items_length", 4 },
        { "sync_reply.retry_after", 4 },
    })
    local status, more, before_items = reply.status, bit_of(reply.flags, 0), 20 + 12 * reply.keys
    local expected = before_items + reply.items_length
    if not is_known(frame, reply.version) then
        return
    elseif reply.flags > 1 then
        return wrong(frame, "reserved bits 0x%x are set", reply.flags - reply.flags % 2)
    elseif reply.items > 512 then
        return wrong(frame, "%d items are above the limit of 512", reply.items)
    elseif not are_few_enough(frame, reply.keys) then
        return
    elseif len(body) < before_items then
        return wrong(frame, "body of %d bytes where %d are expected", len(body), before_items)
    elseif status ~= 0 and (reply.keys > 0 or reply.items > 0 or reply.items_length > 0 or more and status ~= 1) then
        return wrong(frame, "status %d comes with nothing else", status)
    elseif status <= 1 and reply.epoch == 0 then
        return wrong(frame, "epoch 0 is none")
    elseif reply.retry_after > 0 and status ~= 2 and status <= 4 then
        return wrong(frame, "delay of %d ms where there is none", reply.retry_after)
    elseif len(body) ~= expected then
        return wrong(frame, "body of %d bytes where %d are expected", len(body), expected)
    end
    if status > 1 then
        frame.tree:add_proto_expert_info(refused, "Sync: " .. named(SYNC_STATUS, status))
    end
    if status > 0 then
        return "sync: " .. named(SYNC_STATUS, status)
    end
    local entries = take_entries(frame, tree, body, 20, reply.keys, true)
    if entries then
        take_items(frame, tree, body, before_items, reply.items, entries)
    end
    return format("sync: %s%s", plural(reply.items, "item"), more and ", more to come" or "")
end

bodies["sync done"] = function(frame, tree, body)
    if not is_long_enough(frame, body, 8) then
        return
    end
    local done = take(tree, body, {
        { "sync_done.version", 1 }, { "sync_done.flags", 1 }, { "sync_done.keys", 2 }, { "sync_done.epoch", 4 },
    })
    if not is_known(frame, done.version) or not are_few_enough(frame, done.keys) then
        return
    elseif len(body) ~= 8 + 12 * done.keys then
        return wrong(frame, "body of %d bytes where %d are expected", len(body), 8 + 12 * done.keys)
    elseif done.flags ~= 0 then
        return wrong(frame, "reserved bits 0x%x are set", done.flags)
    elseif done.epoch == 0 then
        return wrong(frame, "epoch 0 is none")
    end
    take_entries(frame, tree, body, 8, done.keys)
    return format("sync done: %s stored", plural(done.keys, "key"))
end

-- A body of another length says "something is new" and no more.
bodies["notify"] = function(frame, tree, body)
    local keys = len(body) >= 8 and body:range(2, 2):uint() or 0
    local version = len(body) >= 8 and body:range(0, 1):uint() or 1
    if len(body) < 8 or version == 1 and keys <= 64 and len(body) ~= 8 + 12 * keys then
        add_rest(tree, "body", body, 0)
        return "notify: something is new"
    end
    local notify = take(tree, body, {
        { "notify.version", 1 }, { "notify.flags", 1, { "notify.something" } }, { "notify.keys", 2 },
        { "notify.epoch", 4 },
    })
    if not is_known(frame, version) or not are_few_enough(frame, keys) then
        return
    elseif notify.flags > 1 then
        return wrong(frame, "reserved bits 0x%x are set", notify.flags - notify.flags % 2)
    elseif notify.epoch == 0 and keys > 0 then
        return wrong(frame, "epoch 0 is none")
    end
    local entries = take_entries(frame, tree, body, 8, keys)
    if keys == 0 then
        return "notify: something is new"
    elseif entries and #entries == 1 then
        return format("notify: key %d has come to %s", entries[1].key, tostring(entries[1].val))
    end
    return format("notify: %d keys have news", keys)
end

bodies["fetch"] = function(frame, tree, body)
    if not is_long_enough(frame, body, 24) then
        return
    elseif len(body) > 24 then
        return wrong(frame, "body of %d bytes where 24 are expected", len(body))
    end
    local fetch = take(tree, body, {
        { "fetch.version", 1 }, { "fetch.flags", 1 }, { "fetch.key", 2 }, { "fetch.epoch", 4 }, { "fetch.val", 8 },
        { "fetch.offset", 4 }, { "fetch.max", 4 },
    })
    if not is_known(frame, fetch.version) then
        return
    elseif fetch.flags ~= 0 then
        return wrong(frame, "reserved bits 0x%x are set", fetch.flags)
    elseif fetch.epoch == 0 then
        return wrong(frame, "epoch 0 is none")
    elseif fetch.val == UInt64(0) then
        return wrong(frame, "item 0 of key %d is not above the one before", fetch.key)
    elseif fetch.max < 64 then
        return wrong(frame, "room for %d bytes is below the minimum of 64", fetch.max)
    end
    return format("fetch: item %s of key %d from byte %d on", tostring(fetch.val), fetch.key, fetch.offset)
end

-- What only the request could tell, the offset and the length that were asked for, is not looked at.
bodies["fetch reply"] = function(frame, tree, body)
    if not is_long_enough(frame, body, 16) then
        return
    end
    local reply = take(tree, body, {
        { "fetch_reply.version", 1 }, { "fetch_reply.status", 1 }, { "reserved", 2 }, { "fetch_reply.total", 4 },
        { "fetch_reply.offset", 4 }, { "fetch_reply.retry_after", 4 },
    })
    local bytes, known = len(body) - 16, FETCH_STATUS[reply.status] ~= nil
    add_rest(tree, "fetch_reply.bytes", body, 16)
    if not is_known(frame, reply.version) then
        return
    elseif reply.reserved ~= 0 then
        return wrong(frame, "reserved bits 0x%x are set", reply.reserved)
    elseif reply.retry_after > 0 and reply.status ~= 2 and known then
        return wrong(frame, "delay of %d ms where there is none", reply.retry_after)
    elseif reply.status ~= 0 and bytes > 0 then
        return wrong(frame, "body of %d bytes where 16 are expected", len(body))
    elseif reply.status == 0 and reply.offset + bytes > reply.total then
        return wrong(frame, "bytes beyond the end of an item of %d", reply.total)
    elseif reply.status == 0 and bytes == 0 and reply.offset < reply.total then
        return wrong(frame, "more is said to come, and nothing moves")
    elseif reply.status ~= 0 then
        frame.tree:add_proto_expert_info(refused, "Fetch: " .. named(FETCH_STATUS, reply.status))
        return "fetch: " .. named(FETCH_STATUS, reply.status)
    end
    return format("fetch: %s at %d of %d", plural(bytes, "byte"), reply.offset, reply.total)
end

bodies["goaway"] = function(frame, tree, body)
    if not is_long_enough(frame, body, 8) then
        return
    elseif len(body) > 8 then
        return wrong(frame, "body of %d bytes where 8 are expected", len(body))
    end
    local goaway = take(tree, body, {
        { "goaway.version", 1 }, { "goaway.code", 1 }, { "reserved", 2 }, { "goaway.retry_after", 4 },
    })
    if not is_known(frame, goaway.version) then
        return
    elseif goaway.reserved ~= 0 then
        return wrong(frame, "reserved bits 0x%x are set", goaway.reserved)
    end
    return "goaway: " .. named(GOAWAY_CODE, goaway.code)
end

------------------------------------------------------------------------------------------------------------------------
-- Frames.

-- Why these bytes are no frame, as far as they are there, in the order in which the library judges them; or the
-- frame's header. Without either: so many bytes are to be there before there is more to tell.
local function judge(dialect, tvb, at)
    local there = tvb:len() - at
    local wire20 = dialect.header == 20
    if there < (wire20 and 4 or 6) then
        return nil, nil, wire20 and 4 or 6
    end
    local header = wire20 and tvb(at, 4):uint() or tvb(at + 4, 2):uint()
    if header < dialect.header then
        return format("header length %d is below the %d bytes of this layout", header, dialect.header)
    elseif header > MAX_HEADER then
        return format("header length %d is above the limit of %d", header, MAX_HEADER)
    elseif not wire20 and tvb(at, 4):uint() < header then
        return format("total length %d is below the header length %d", tvb(at, 4):uint(), header)
    elseif there < 8 then
        return nil, nil, 8
    end
    local version = wire20 and tvb(at + 4, 4):uint() or tvb(at + 6, 2):uint()
    if version < dialect.lowest or version > dialect.highest then
        return format("version %d is unknown, %d to %d are spoken here", version, dialect.lowest, dialect.highest)
    elseif there < dialect.header then
        return nil, nil, dialect.header
    end
    local length = wire20 and header + tvb(at + 16, 4):uint() or tvb(at, 4):uint()
    local longest = prefs.longest > 0 and prefs.longest or dialect.longest
    if length > 0xFFFFFFFF then
        local words = "frame is too long: header length %d and body length %d do not fit in 32 bits"
        return format(words, header, length - header)
    end
    local command, sequence, too_long = tvb(at + 8, 4):uint(), tvb(at + 12, 4):uint(), nil
    if length > longest then
        local words = "frame of %d bytes (command %d, sequence %d) is above the limit of %d"
        too_long = format(words, length, command, sequence, longest)
    end
    if length > longest * SKIP_FACTOR then
        return too_long
    end
    return nil, {
        length = length, header = header, version = version, command = command, sequence = sequence,
        too_long = too_long,
    }
end

-- What a frame is called, who may send it, and, of a reply, the command under which it is awaited.
local function name_of(dialect, command, sequence, from_server, is_awaited)
    local ours, theirs = dialect.to_server, dialect.to_device
    if from_server then
        ours, theirs = theirs, ours
    end
    if ours[command] then
        return ours[command]
    elseif not from_server then
        if theirs[command] then
            return theirs[command], true
        end
        return sequence == 0 and "one-way" or "request"
    elseif is_awaited then
        return (theirs[command] or "") == "message" and "message reply" or "reply"
    elseif dialect.native and theirs[command] then
        return theirs[command], true
    end
    return dialect.native and command >= BILLION and "reply" or "push"
end

local function is_awaited(stream, command, sequence)
    local waiting = stream.waiting[format("%d:%d", command, sequence)]
    return waiting ~= nil and #waiting > 0
end

local function add_header(tree, frame, tvb, at)
    local wire20 = frame.dialect.header == 20
    tree:add(f.dialect, frame.dialect.name):set_generated()
    tree:add(f.from, frame.from_server and "server" or "device"):set_generated()
    tree:add(f.name, frame.name):set_generated()
    if wire20 then
        tree:add(f.header_length, tvb(at, 4))
        tree:add(f.version, tvb(at + 4, 4))
    else
        tree:add(f.length, tvb(at, 4))
        tree:add(f.header_length, tvb(at + 4, 2))
        tree:add(f.version, tvb(at + 6, 2))
    end
    tree:add(f.command, tvb(at + 8, 4)):append_text(" (" .. frame.name .. ")")
    tree:add(f.sequence, tvb(at + 12, 4))
    if wire20 then
        tree:add(f.body_length, tvb(at + 16, 4))
        tree:add(f.length, frame.length):set_generated()
    else
        tree:add(f.body_length, frame.length - frame.header):set_generated()
    end
    if frame.header > frame.dialect.header then
        tree:add(f.extension, tvb(at + frame.dialect.header, frame.header - frame.dialect.header))
    end
end

-- What the first reading found out about a frame.
local function add_facts(tree, frame)
    local facts = seen[frame.key] or {}
    if facts.request then
        local seconds = math.max(frame.pinfo.rel_ts - facts.request.at, 0)
        local whole = math.floor(seconds)
        tree:add(f.request_in, facts.request.number):set_generated()
        tree:add(f.time, NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5))):set_generated()
    elseif frame.name:match("reply$") then
        tree:add_proto_expert_info(unasked, "Reply to nothing that was seen")
    end
    if facts.response then
        tree:add(f.response_in, facts.response):set_generated()
    end
    if facts.first_sent then
        tree:add(f.first_sent_in, facts.first_sent):set_generated()
        local text = format("Message %d was sent before, in packet %d", frame.sequence, facts.first_sent)
        tree:add_proto_expert_info(sent_again, text)
    end
end

local add_frames -- for bodies that hold frames

-- The application's body. Returns what it is, in brackets.
local function add_payload(frame, tree, body)
    local dialect = frame.dialect
    if dialect.compresses and frame.version >= 2 then
        tree:add(f.compression, frame.version == 2 and "zlib" or "brotli"):set_generated()
    end
    if len(body) == 0 then
        return ""
    end
    if dialect.counts and frame.name == "heartbeat reply" and len(body) >= 4 then
        tree:add(f.online, body:range(0, 4))
        return format(", %d online", body:range(0, 4):uint())
    end
    tree:add(f.body, body)
    if body:raw():match("^[%g%s\128-\255]+$") then
        tree:add(f.text, body, body:string(ENC_UTF_8))
    end
    if dialect.compresses and frame.version >= 2 then
        return format(", %s compressed with %s", plural(len(body), "byte"), frame.version == 2 and "zlib" or "brotli")
    end
    return ", " .. plural(len(body), "byte")
end

-- The frames in a body: as it is, or inflated. Frames in these frames are left alone.
local function add_nested(frame, tree, body)
    local dialect, inner = frame.dialect, nil
    if frame.nested or len(body) == 0 then
        return nil
    elseif dialect.batch == frame.command then
        inner = body:tvb()
    elseif dialect.compresses and frame.version == 2 then
        local done, inflated = pcall(function() return body:uncompress("inflated frames") end)
        inner = done and inflated and inflated:tvb() or nil
    end
    return inner and add_frames(inner, frame, tree)
end

local function add_body(frame, tree, body)
    local reader = frame.dialect.native and not frame.wrong_side and bodies[frame.name]
    if reader then
        local words = reader(frame, tree, body)
        if frame.wrong then
            add_rest(tree, "body", body, 0)
            return frame.name .. ": " .. frame.wrong
        end
        return words
    end
    local payload = add_payload(frame, tree, body)
    local nested = add_nested(frame, tree, body)
    local number = frame.sequence ~= 0 and frame.name:match("^message") and format(" %d", frame.sequence) or ""
    local again = (seen[frame.key] or {}).first_sent and " again" or ""
    if frame.name == "message" then
        frame.run = again
    end
    local unnamed = frame.name == "request" or frame.name == "one-way" or frame.name == "reply"
    local command = unnamed and format(" (command %d)", frame.command) or ""
    return frame.name .. number .. again .. command .. payload .. (nested and " [" .. nested .. "]" or "")
end

-- Adds one whole frame, and returns its words for the Info column.
local function add_frame(tvb, at, frame, root)
    local dialect, stream = frame.dialect, frame.stream
    frame.answers = frame.from_server and dialect.native and frame.command == 6 and plus_a_billion(6) or nil
    local facts = seen[frame.key]
    local awaited = facts and facts.request ~= nil
    if not facts then
        awaited = is_awaited(stream, frame.answers or frame.command, frame.sequence)
    end
    frame.name, frame.wrong_side = name_of(dialect, frame.command, frame.sequence, frame.from_server, awaited)
    local body_length = frame.length - frame.header
    frame.body = body_length > 0 and tvb(at + frame.header, body_length) or nil
    if not facts and not frame.nested then
        remember(frame)
    end

    local tree = root:add(longlink, tvb(at, frame.length))
    frame.tree = tree
    add_header(tree, frame, tvb, at)
    if not frame.nested then
        add_facts(tree, frame)
    end
    if frame.wrong_side then
        tree:add_proto_expert_info(odd, "Comes from the wrong side")
    end
    local words
    if frame.too_long then
        tree:add_proto_expert_info(malformed_header, frame.too_long)
        words = frame.name .. ": " .. frame.too_long
    else
        words = add_body(frame, tree, frame.body) or frame.name
    end
    tree:set_text("longlink: " .. words)
    return { text = words, run = frame.run, sequence = frame.sequence }
end

-- All frames of a body. Returns their words.
add_frames = function(tvb, outer, tree)
    local at, words = 0, {}
    while at < tvb:len() do
        local why, header = judge(outer.dialect, tvb, at)
        local there = tvb:len() - at
        if not why and (not header or header.length > there) then
            local missing = (header and header.length or outer.dialect.header) - there
            why = format("body ends inside a frame, %d bytes are missing", missing)
        end
        if why then
            tree:add_proto_expert_info(malformed_body, why)
            words[#words + 1] = why
            break
        end
        header.dialect, header.stream, header.pinfo, header.nested = outer.dialect, outer.stream, outer.pinfo, true
        header.from_server, header.key = outer.from_server, outer.key .. ":" .. at
        words[#words + 1] = add_frame(tvb, at, header, tree).text
        at = at + header.length
    end
    return table.concat(words, ", ")
end

------------------------------------------------------------------------------------------------------------------------
-- Streams.

-- The dialect by the first bytes of a stream, from either side; and who is the server, true if it is the sender.
-- Without a dialect: so many bytes are to be there before it can be told.
local function detect(tvb, at)
    local there = tvb:len() - at
    if there < 8 then
        return nil, nil, 8
    end
    local total, header, version = tvb(at, 4):uint(), tvb(at + 4, 2):uint(), tvb(at + 6, 2):uint()
    if total >= 20 and total <= MAX_HEADER and tvb(at + 4, 4):uint() == 200 then
        return DIALECTS.mars, false
    elseif header < 16 or header > MAX_HEADER or total < header or version > 3 then
        return nil -- none of these
    elseif there < 16 then
        return nil, nil, 16
    end
    local command = tvb(at + 8, 4):uint()
    local native = DIALECTS.longlink
    local is_native = version == 1 and (native.to_server[command] or native.to_device[command])
    local is_goim = GOIM_COMMANDS.to_server[command] or GOIM_COMMANDS.to_device[command]
    if version ~= 1 then
        return DIALECTS.bilibili, GOIM_COMMANDS.to_device[command] ~= nil
    elseif is_native or not is_goim then
        return native, native.to_server[command] == nil and native.to_device[command] ~= nil
    elseif there < total and total <= DIALECTS.bilibili.longest and command == 7 then
        return nil, nil, total
    end
    local body = command == 7 and total > header and tvb(at + header, total - header):raw() or ""
    local is_bilibili = body:find('"roomid"', 1, true) or body:find('"protover"', 1, true)
    return is_bilibili and DIALECTS.bilibili or DIALECTS.goim, GOIM_COMMANDS.to_device[command] ~= nil
end

-- The dialect of a stream; or how many bytes are to be there before it can be told. What speaks none of them is
-- taken for the native one, which then says what is wrong.
local function dialect_of(stream, tvb, at, pinfo)
    local claim = claimed_by(pinfo.dst_port) or claimed_by(pinfo.src_port) or "ports"
    if claim ~= "ports" then
        return DIALECTS[claim:match("^%a+")] or DIALECTS.longlink
    elseif stream.dialect and pinfo.number >= stream.known_since then
        return stream.dialect
    end
    local dialect, sent_by_server, need = detect(tvb, at)
    if need then
        return nil, need
    elseif dialect then
        local server, port = pinfo.dst, pinfo.dst_port
        if sent_by_server then
            server, port = pinfo.src, pinfo.src_port
        end
        stream.dialect, stream.known_since = dialect, pinfo.number
        stream.server = stream.server or tostring(server) .. ":" .. port
    end
    return dialect or DIALECTS.longlink
end

-- After bytes that are no frame, the library is done with a stream. Here a segment that begins with a frame of a
-- known command is where it goes on, since a capture may have begun in the middle of a frame.
local function goes_on(dialect, tvb, at)
    local _, header = judge(dialect, tvb, at)
    if not header or header.too_long then
        return false
    end
    return (dialect.to_server[header.command] or dialect.to_device[header.command]) ~= nil
end

local function add_lost(tvb, at, root, why, what)
    local rest = tvb(at)
    local text = what or why and "not a frame: " .. why or plural(rest:len(), "byte") .. " behind an error"
    local tree = root:add(longlink, rest, "longlink: " .. text)
    tree:add(f.lost, rest)
    if why then
        tree:add_proto_expert_info(malformed_header, why)
    end
    return { text = text }
end

-- The frame at `at`, once it is there: how many bytes it took, and its words. Else how many bytes are to be there.
local function next_frame(tvb, at, pinfo, root, stream, direction)
    local dialect, need = dialect_of(stream, tvb, at, pinfo)
    if not dialect then
        return nil, nil, need
    end
    local why, header
    why, header, need = judge(dialect, tvb, at)
    if why then
        stream.lost[direction] = true
        return tvb:len() - at, add_lost(tvb, at, root, why)
    elseif not header or header.length > tvb:len() - at then
        return nil, nil, header and header.length or need
    end
    header.dialect, header.stream, header.pinfo, header.from_server = dialect, stream, pinfo, direction == "server"
    header.key = format("%d:%d:%d:%d:%d", pinfo.number, tvb:len(), at, header.command, header.sequence)
    return header.length, add_frame(tvb, at, header, root)
end

-- Whether a direction was lost when this packet came: found out in the first reading, and the same in every later one.
local function is_lost(stream, pinfo, direction, tvb)
    local before = stream.entered_lost[pinfo.number]
    if before == nil then
        before = stream.lost[direction] or false
        stream.entered_lost[pinfo.number] = before
    end
    if before and goes_on(stream.dialect or DIALECTS.longlink, tvb, 0) then
        before = false
    end
    stream.lost[direction] = before
    return before
end

local last_packet = nil

-- Messages that follow on each other are named together: "messages 5 to 9 stored".
local function join_runs(said)
    local joined = {}
    for _, one in ipairs(said) do
        local last = joined[#joined]
        if last and one.run and last.run == one.run and last.sequence + 1 == one.sequence then
            last.first = last.first or last.sequence
            last.sequence = one.sequence
            last.text = format("messages %d to %d%s", last.first, one.sequence, one.run)
        else
            joined[#joined + 1] = { text = one.text, run = one.run, sequence = one.sequence }
        end
    end
    return joined
end

-- Of many frames in a packet the first ones, and how many there are.
local function info_of(said)
    local words, most = {}, 6
    local joined = join_runs(said)
    for n = 1, math.min(#joined, most) do
        words[n] = joined[n].text
    end
    if #joined > most then
        words[#words + 1] = format("and %d more", #joined - most)
    end
    return table.concat(words, " | ")
end

function longlink.dissector(tvb, pinfo, root)
    local stream = current_stream()
    local direction = is_from_server(stream, pinfo) and "server" or "device"
    local at, words = 0, {}
    if is_lost(stream, pinfo, direction, tvb) then
        words[1], at = add_lost(tvb, 0, root), tvb:len()
    end
    while at < tvb:len() do
        direction = is_from_server(stream, pinfo) and "server" or "device"
        local used, text, need = next_frame(tvb, at, pinfo, root, stream, direction)
        if not used then
            if pinfo.can_desegment == 0 then
                -- The capture has only the beginning of this packet: the next one may be in the middle of a frame.
                words[#words + 1] = add_lost(tvb, at, root, nil, "part of a frame")
                stream.lost[direction] = true
                break
            end
            -- A header is cheap to look at again; for a body it is known how much is missing.
            local missing = need - (tvb:len() - at)
            pinfo.desegment_offset, pinfo.desegment_len = at, need <= 20 and DESEGMENT_ONE_MORE_SEGMENT or missing
            break
        end
        words[#words + 1], at = text, at + used
    end
    if #words > 0 then
        pinfo.cols.protocol = "LONGLINK"
        local is_second_call = last_packet == pinfo.number
        pinfo.cols.info:set((is_second_call and " | " or "") .. info_of(words))
        pinfo.cols.info:fence()
        last_packet = pinfo.number
    end
    return tvb:len()
end

-- What begins a stream on a port that nobody claims, unmistakably.
local function begins_like_longlink(tvb, pinfo, root)
    if tvb:len() < 16 then
        return false
    end
    local dialect = detect(tvb, 0)
    local _, header = judge(dialect or DIALECTS.longlink, tvb, 0)
    if not dialect or not header or header.too_long then
        return false
    end
    local name = dialect.to_server[header.command]
    local is_hello = name == "hello" and header.sequence == 0xFFFFFFFE and header.length >= header.header + 28
    local is_heartbeat = name == "heartbeat" and header.sequence == 0xFFFFFFFF and header.length == dialect.header
    local is_login = name == "authentication" and tvb:len() > header.header and tvb(header.header, 1):uint() == 0x7B
    if not (is_hello or is_heartbeat or is_login) then
        return false
    end
    pinfo.conversation = longlink
    longlink.dissector(tvb, pinfo, root)
    return true
end

longlink:register_heuristic("tcp", begins_like_longlink)

local tcp_port = DissectorTable.get("tcp.port")
local claimed = {}

local function claim_ports()
    read_claims()
    for _, name in ipairs(PORT_PREFERENCES) do
        if claimed[name] and claimed[name] ~= prefs[name] then
            tcp_port:remove(claimed[name], longlink)
        end
        claimed[name] = prefs[name] ~= "" and prefs[name] or nil
    end
    for _, ranges in pairs(claimed) do
        tcp_port:add(ranges, longlink)
    end
end

longlink.prefs_changed = claim_ports
claim_ports()
tcp_port:add_for_decode_as(longlink)
DissectorTable.get("tls.port"):add_for_decode_as(longlink)
