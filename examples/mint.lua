#!/usr/bin/env lua5.4
-- Mints the tokens of one outgoing mail with nothing but Lua (5.3 or newer).
--
-- usage: mint.lua SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]
--
-- `desist signing-key export` prints the keys, the serial and the tenant's number. Lua has no
-- SHA-256, so it is written out here; where luaossl or your server's own is at hand, use that.

local DOMAIN = "fb.example.com" -- served by the MX
local URL = "https://u.example.com" -- the public HTTPS door

local function fail(why)
  io.stderr:write("mint.lua: ", why, "\n")
  os.exit(1)
end

-- Enough for addresses in ASCII without quotes (the domain as xn--… where it is international): Lua
-- knows no letters beyond. `POST /v1/tokens` mints for all.
local function canonical(address)
  local text = address:gsub("^[ \t\r\n\f]+", ""):gsub("[ \t\r\n\f]+$", ""):gsub("%.$", "")
  local name, domain = text:match("^([!#-'*+./0-9=?A-Z^-~-]+)@([A-Za-z0-9_.-]+)$")
  if not name or #name > 256 or #text > 512 or ("." .. domain .. "."):find("..", 1, true) then
    fail("no address, or one that this example does not know to write")
  end
  return text:lower()
end

-- The constants of SHA-256 (FIPS 180-4).
local START = {
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}
local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

local function turn(x, n) return (x >> n | x << 32 - n) & 0xffffffff end

local function sha256(text)
  local padded = text .. "\x80" .. ("\0"):rep((55 - #text) % 64) .. string.pack(">I8", #text * 8)
  local hash = { table.unpack(START) }
  for at = 1, #padded, 64 do
    local w = { string.unpack(">" .. ("I4"):rep(16), padded, at) }
    for i = 17, 64 do
      local x, y = w[i - 15], w[i - 2]
      local s0 = turn(x, 7) ~ turn(x, 18) ~ x >> 3
      local s1 = turn(y, 17) ~ turn(y, 19) ~ y >> 10
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) & 0xffffffff
    end
    local a, b, c, d, e, f, g, h = table.unpack(hash)
    for i = 1, 64 do
      local s1 = turn(e, 6) ~ turn(e, 11) ~ turn(e, 25)
      local one = h + s1 + (e & f ~ ~e & g) + K[i] + w[i]
      local two = (turn(a, 2) ~ turn(a, 13) ~ turn(a, 22)) + (a & b ~ a & c ~ b & c)
      a, b, c, d, e, f, g, h = (one + two) & 0xffffffff, a, b, c, (d + one) & 0xffffffff, e, f, g
    end
    for i, value in ipairs({ a, b, c, d, e, f, g, h }) do hash[i] = (hash[i] + value) & 0xffffffff end
  end
  return string.pack(">" .. ("I4"):rep(8), table.unpack(hash))
end

local function mac(key, message)
  local function pad(byte)
    return (key .. ("\0"):rep(64 - #key)):gsub(".", function(c) return string.char(c:byte() ~ byte) end)
  end
  return sha256(pad(0x5c) .. sha256(pad(0x36) .. message))
end

local function base32(bytes)
  local alphabet, text, held, bits = "abcdefghijklmnopqrstuvwxyz234567", {}, 0, 0
  for i = 1, #bytes do
    held, bits = (held << 8 | bytes:byte(i)) & 0xfff, bits + 8
    while bits >= 5 do
      bits = bits - 5
      local digit = (held >> bits & 31) + 1
      text[#text + 1] = alphabet:sub(digit, digit)
    end
  end
  if bits > 0 then
    local digit = (held << 5 - bits & 31) + 1
    text[#text + 1] = alphabet:sub(digit, digit)
  end
  return table.concat(text)
end

local function mint(use, key, serial, recipient, tenant, stream, ref)
  local body = string.pack(">I1I3I2", 0x10 | serial % 16, tenant, stream) .. recipient .. ref
  return base32(body .. mac(key, body .. use):sub(1, 16))
end

local function unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

if #arg < 6 or #arg > 7 then
  fail("usage: mint.lua SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]")
end
local signing_key, address_key, ref = unhex(arg[1]), unhex(arg[3]), unhex(arg[7] or "")
local serial, tenant, stream = math.tointeger(arg[2]), math.tointeger(arg[5]), math.tointeger(arg[6])
if #ref > 6 then fail("with more than 6 bytes of ref the address u-TOKEN is too long") end
local recipient = mac(address_key, canonical(arg[4])):sub(1, 10)
local token = mint("f", signing_key, serial, recipient, tenant, stream, ref)
local bounce = mint("b", signing_key, serial, recipient, tenant, stream, "")
print("feedback token: " .. token)
print("bounce token: " .. bounce)
print("MAIL FROM: b-" .. bounce .. "@" .. DOMAIN)
print("List-Unsubscribe: <" .. URL .. "/u/" .. token .. ">, <mailto:u-" .. token .. "@" .. DOMAIN .. "?subject=unsubscribe>")
print("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
print("CFBL-Address: cfbl@" .. DOMAIN .. "; report=arf\nCFBL-Feedback-ID: " .. token .. "\nX-Desist: " .. token)
