#!/usr/bin/env ruby
# frozen_string_literal: true

# Mints the tokens of one outgoing mail with nothing but Ruby's standard library.
#
# usage: mint.rb SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]
#
# `desist signing-key export` prints the keys, the serial and the tenant's number.
require 'openssl'

DOMAIN = 'fb.example.com' # served by the MX
URL = 'https://u.example.com' # the public HTTPS door

def refuse(why)
  abort "mint.rb: #{why}"
end

# Enough for addresses without quotes whose domain is written in ASCII (as xn--… where it is
# international); `POST /v1/tokens` mints for all.
def canonical(address)
  text = address.dup.force_encoding('UTF-8').gsub(/\A[ \t\r\n\f]+|[ \t\r\n\f]+\z/, '')
  local, _, domain = text.rpartition('@')
  # Each code point by itself: the whole would follow rules of context.
  local = local.each_char.map(&:downcase).join.unicode_normalize(:nfc)
  domain = domain.delete_suffix('.')
  fits = local.bytesize <= 256 && local.bytesize + 1 + domain.bytesize <= 512
  unless fits && local.match?(/\A[^[:space:][:cntrl:]"(),:;<>@\[\\\]]+\z/) &&
         domain.match?(/\A[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\z/)
    refuse 'no address, or one that this example does not know to write'
  end
  "#{local}@#{domain.downcase}"
end

def mac(key, message)
  OpenSSL::HMAC.digest('SHA256', key, message)
end

def base32(bytes)
  bytes.unpack1('B*').scan(/.{1,5}/).map { |five| 'abcdefghijklmnopqrstuvwxyz234567'[five.ljust(5, '0').to_i(2)] }.join
end

def mint(use, key, serial, recipient, tenant, stream, ref)
  header = 0x10 | serial % 16
  body = [header << 24 | tenant, stream].pack('Nn') + recipient + ref
  base32(body + mac(key, body + use)[0, 16])
end

refuse 'usage: mint.rb SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]' unless [6, 7].include?(ARGV.size)
signing_key, address_key, ref = [ARGV[0], ARGV[2], ARGV[6] || ''].map { |hex| [hex].pack('H*') }
serial, tenant, stream = [ARGV[1], ARGV[4], ARGV[5]].map { |text| Integer(text, 10) }
refuse 'with more than 6 bytes of ref the address u-TOKEN is too long' if ref.bytesize > 6
recipient = mac(address_key, canonical(ARGV[3]))[0, 10]
token = mint('f', signing_key, serial, recipient, tenant, stream, ref)
bounce = mint('b', signing_key, serial, recipient, tenant, stream, '')
puts "feedback token: #{token}"
puts "bounce token: #{bounce}"
puts "MAIL FROM: b-#{bounce}@#{DOMAIN}"
puts "List-Unsubscribe: <#{URL}/u/#{token}>, <mailto:u-#{token}@#{DOMAIN}?subject=unsubscribe>"
puts 'List-Unsubscribe-Post: List-Unsubscribe=One-Click'
puts "CFBL-Address: cfbl@#{DOMAIN}; report=arf", "CFBL-Feedback-ID: #{token}", "X-Desist: #{token}"
