"""
What Redis does with sessions: scripts, each of which it carries out at once.

In the database are, all of them with an expiry::

    socks6:session:KEY   hash: record, trust and owner as they were given; base and
                         size of the token window if there is one; and, under the
                         number of each chunk of 512 tokens that has any, which of
                         them are spent
    socks6:sessions      sorted set: the keys of all sessions, by their expiry
    socks6:owner:OWNER   sorted set: the same, of the sessions of one owner

KEY is in hexadecimal, an expiry in milliseconds of the server's clock.

A session is one Redis key, so that none is evicted in part: a window without its
spent tokens would honour them again.  The owner's set is found in the session,
and the limits count in one place; so all must be on one server, and Redis
Cluster cannot serve.

What is spent lies in chunks, so that to spend a token writes 64 octets to the
server's log and its replicas, and not 8192, and so that nothing is moved when the
window shifts.  A token that lies in no chunk is unspent.

The time that a call takes is constant, if what it takes to pass spent tokens by and
to give up their chunks is divided among the calls that spent them.
"""

from __future__ import annotations

#: Expired sessions that are taken out of each set when one is opened.
EXPIRED_AT_ONCE = 10

#: What the names in the database begin with, and the one that has nothing behind it.
SESSION = b"socks6:session:"
OWNER = b"socks6:owner:"
SESSIONS = b"socks6:sessions"

#: Begins both scripts.  C{ARGV[1]} is the session's key, C{ARGV[2]} how long it
#: lives, in milliseconds.
_COMMON = b"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = now + ARGV[2]

local function count(set)
    redis.call('ZADD', set, expiry, ARGV[1])
    -- Others in the set may live longer.
    if redis.call('PTTL', set) < expiry - now then
        redis.call('PEXPIREAT', set, expiry)
    end
end
"""

#: Opens a session: 1 if it did, 0 if there are too many.
#:
#: C{KEYS}: the session, all sessions, the owner's.  C{ARGV}: see above; how many
#: sessions there may be in all and of the owner; record, trust and owner; the size of
#: the window, or nothing.
OPEN = (
    _COMMON
    + b"""
local expiredAtOnce = %d

for set = 2, 3 do
    local living = redis.call('ZCOUNT', KEYS[set], '(' .. now, '+inf')
    local expired = redis.call('ZCARD', KEYS[set]) - living
    if expired > 0 then
        local last = math.min(expired, expiredAtOnce) - 1
        redis.call('ZREMRANGEBYRANK', KEYS[set], 0, last)
    end
    if living >= tonumber(ARGV[set + 1]) then
        return 0
    end
end
redis.call('HSET', KEYS[1], 'record', ARGV[5], 'trust', ARGV[6], 'owner', ARGV[7])
if ARGV[8] ~= '' then
    redis.call('HSET', KEYS[1], 'base', 0, 'size', ARGV[8])
end
redis.call('PEXPIREAT', KEYS[1], expiry)
count(KEYS[2])
count(KEYS[3])
return 1
"""
    % EXPIRED_AT_ONCE
)

#: Uses a session: nil if there is none; else one line, since that is what client
#: libraries read fastest, with fields that have a blank between them: whether it is
#: admitted; what became of the token, or 0; base and size of the window if the client
#: is to be told of it, or 0 and 0; trust, owner and record.
#:
#: C{KEYS}: the session, all sessions.  C{ARGV}: see above; the digits of the trusts
#: that are enough; the token or nothing; the size of the window that is granted, or
#: nothing; 1 if the session ends.
USE = (
    _COMMON
    + b"local OWNER = '%b'" % OWNER
    + b"""
local SUCCESS, NO_WINDOW, OUT_OF_WINDOW, DUPLICATE = 1, 2, 3, 4
local CIRCLE, CHUNK, CHUNKS = 4294967296, 512, 8388608

local session = KEYS[1]
local record, trust, owner, base, size = unpack(
    redis.call('HMGET', session, 'record', 'trust', 'owner', 'base', 'size'))
if not record then
    return false
end
local function answer(admitted, outcome, base, size)
    local fields = {admitted, outcome, base, size, trust, owner, record}
    return {ok = table.concat(fields, ' ')}
end
if not string.find(ARGV[3], trust, 1, true) then
    return answer(0, 0, 0, 0)
end
base, size = tonumber(base), tonumber(size)

-- Chunks that have been read.
local chunks = {}

-- The chunk of a token, the index in it of the octet with the token's bit, and
-- that octet.
local function find(token)
    local number = math.floor(token / CHUNK)
    local chunk = chunks[number] or redis.call('HGET', session, number) or ''
    chunks[number] = chunk
    local index = math.floor(token % CHUNK / 8) + 1
    return chunk, index, string.byte(chunk, index) or 0
end

local function isSpent(octet, token)
    return bit.band(octet, 2 ^ (token % 8)) ~= 0
end

local function mark(token)
    local chunk, index, octet = find(token)
    local number = math.floor(token / CHUNK)
    chunk = string.sub(chunk, 1, index - 1) .. string.rep('\\0', index - 1 - #chunk)
        .. string.char(octet + 2 ^ (token % 8)) .. string.sub(chunk, index + 1)
    chunks[number] = chunk
    redis.call('HSET', session, number, chunk)
end

-- The offset of the first unspent token from an offset on; the window's size if
-- all are spent, as no token behind it ever is.
local function firstUnspent(offset)
    while true do
        local token = (base + offset) % CIRCLE
        local chunk, index, octet = find(token)
        for place = token % 8, 7 do
            if not isSpent(octet, place) then
                return offset
            end
            offset = offset + 1
        end
        local _, last = string.find(chunk, '^\\255*', index + 1)
        offset = offset + (last - index) * 8
    end
end

-- The offset of the last unspent token before an offset; nil if all are spent.
local function lastUnspent(offset)
    for before = offset - 1, 0, -1 do
        local token = (base + before) % CIRCLE
        local _, _, octet = find(token)
        if not isSpent(octet, token) then
            return before
        end
    end
end

local function shift(distance)
    local first = math.floor(base / CHUNK)
    base = (base + distance) % CIRCLE
    -- Give up the chunks below; of many, most are not there.
    local below = (math.floor(base / CHUNK) - first) % CHUNKS
    if below > 0 and below <= redis.call('HLEN', session) then
        for number = first, first + below - 1 do
            redis.call('HDEL', session, number % CHUNKS)
        end
    elseif below > 0 then
        for _, name in ipairs(redis.call('HKEYS', session)) do
            local number = tonumber(name)
            if number and (number - first) % CHUNKS < below then
                redis.call('HDEL', session, name)
            end
        end
    end
    redis.call('HSET', session, 'base', base)
end

-- By the rules of socks6.machine.tokens.TokenWindow.
local function spend(token)
    if not base then
        return NO_WINDOW
    end
    local offset = (token - base) % CIRCLE
    if offset >= size then
        return OUT_OF_WINDOW
    end
    local _, _, octet = find(token)
    if isSpent(octet, token) then
        return DUPLICATE
    end
    mark(token)
    local excess = offset - math.floor(size * 3 / 4)
    if excess > 0 then
        local best = firstUnspent(excess)
        if best == size then
            best = lastUnspent(excess) or best
        end
        shift(best)
    elseif offset == 0 then
        shift(firstUnspent(0))
    end
    return SUCCESS
end

local outcome, oldBase = 0, base
if ARGV[4] ~= '' then
    outcome = spend(tonumber(ARGV[4]))
end
local told = outcome == OUT_OF_WINDOW or base ~= oldBase
local honoured = outcome == 0 or outcome == SUCCESS
if honoured and ARGV[5] ~= '' then
    base = base and (base + size) % CIRCLE or 0
    size = tonumber(ARGV[5])
    told = true
    -- All that was spent belongs to the old window.
    redis.call('DEL', session)
    redis.call('HSET', session, 'record', record, 'trust', trust, 'owner', owner,
        'base', base, 'size', size)
end

local ownersSet = OWNER .. owner
if honoured and ARGV[6] == '1' then
    redis.call('DEL', session)
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', ownersSet, ARGV[1])
else
    redis.call('PEXPIREAT', session, expiry)
    count(KEYS[2])
    count(ownersSet)
end
if told then
    return answer(1, outcome, base, size)
end
return answer(1, outcome, 0, 0)
"""
)
