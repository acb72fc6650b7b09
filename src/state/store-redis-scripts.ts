/**
 * What Redis does for the store, each as one script and so as one step (https://redis.io/docs/latest/develop/programmability/).
 * An entry is a hash (v, u: its end, o: seen to be over) which Redis drops by itself; two sorted sets have their keys in order and by
 * their ends. All names have one hash tag, so that a cluster keeps them in one place, where a script may touch them together.
 */

/**
 * KEYS: the epoch, the keys in order, the keys by their ends. ARGV: prefix of entries, run of the server, and then the script's own.
 * A server that was started again, or another that took its place, may have lost the last that was written; one that was wiped has.
 */
const BEGIN = `
local function epoch()
  local known = redis.call('HMGET', KEYS[1], 'since', 'run')
  if known[1] and known[2] == ARGV[2] then return known[1] end
  local time = redis.call('TIME')
  local since = string.format('%d%03d', tonumber(time[1]), math.floor(tonumber(time[2]) / 1000))
  redis.call('HSET', KEYS[1], 'since', since, 'run', ARGV[2])
  return since
end
local function entry(key) return ARGV[1] .. key end
local function drop(by, most)
  local time = redis.call('TIME')
  by = math.min(by, tonumber(time[1]) * 1000)
  local gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', by), 'LIMIT', 0, most)
  for _, key in ipairs(gone) do
    redis.call('UNLINK', entry(key))
    redis.call('ZREM', KEYS[2], key)
    redis.call('ZREM', KEYS[3], key)
  end
  return #gone > 0
end
local function write(key, value, untilText, over, kept)
  redis.call('HSET', entry(key), 'v', value, 'u', untilText, 'o', over)
  redis.call('PEXPIRE', entry(key), kept)
  redis.call('ZADD', KEYS[2], 0, key)
  redis.call('ZADD', KEYS[3], untilText, key)
  redis.call('HSET', KEYS[1], 'turn', (tonumber(redis.call('HMGET', KEYS[1], 'turn')[1]) or 0) + 1)
end
local function live(key, now)
  local found = redis.call('HMGET', entry(key), 'v', 'u', 'o')
  if not found[1] or found[3] == '1' then return nil end
  if tonumber(found[2]) > now then return found end
  redis.call('HSET', entry(key), 'o', '1')
  return nil
end
`

/** ARGV: key, value, until, now, milliseconds to keep it, most entries, milliseconds that what is over is kept. */
const PUT = `
local key, value, untilText, now = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local since = epoch()
drop(now - tonumber(ARGV[9]), 8)
local known = redis.call('HMGET', entry(key), 'v', 'u')
if known[1] and tonumber(known[2]) > now then return {'there', known[1], since} end
local most = tonumber(ARGV[8])
if not known[1] and redis.call('ZCARD', KEYS[3]) >= most then
  drop(now, 100)
  if redis.call('ZCARD', KEYS[3]) >= most then return {'full'} end
end
write(key, value, untilText, '0', ARGV[7])
return {'put', since}
`

/** ARGV: key, now. */
const GET = `
local found = live(ARGV[3], tonumber(ARGV[4]))
if found then return {'value', found[1], found[2]} end
return {'none'}
`

/** ARGV: key, before, after, until, now, milliseconds to keep it. */
const REPLACE = `
local now = tonumber(ARGV[7])
local found = live(ARGV[3], now)
if not found or found[1] ~= ARGV[4] then return {'changed'} end
write(ARGV[3], ARGV[5], ARGV[6], tonumber(ARGV[6]) > now and '0' or '1', ARGV[8])
return {'replaced'}
`

/** ARGV: prefix, now, most. Looks at no more than 5,000 keys: the rest counts as more. */
const LIST = `
local now, most, found, from, looked = tonumber(ARGV[4]), tonumber(ARGV[5]), {}, '[' .. ARGV[3], 0
while looked < 5000 do
  local keys = redis.call('ZRANGEBYLEX', KEYS[2], from, '(' .. ARGV[3] .. '\\255', 'LIMIT', 0, 200)
  for _, key in ipairs(keys) do
    local one = live(key, now)
    if one then
      if #found >= 3 * most then return {'more', found} end
      found[#found + 1] = key
      found[#found + 1] = one[1]
      found[#found + 1] = one[2]
    end
  end
  if #keys < 200 then return {'all', found} end
  looked = looked + #keys
  from = '(' .. keys[#keys]
end
return {'more', found}
`

/** Since when nothing can have been forgotten, the number of what was written, and the time. */
const STAMP = `
local time = redis.call('TIME')
return {epoch(), redis.call('HMGET', KEYS[1], 'turn')[1] or '0', time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))}
`

export const REDIS_SCRIPTS = {
  put: BEGIN + PUT,
  get: BEGIN + GET,
  replace: BEGIN + REPLACE,
  list: BEGIN + LIST,
  stamp: BEGIN + STAMP
} as const
