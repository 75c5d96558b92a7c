#!/usr/bin/env bash
# Mints the tokens of one outgoing mail with bash, openssl, xxd and base32 (coreutils).
#
# usage: mint.sh SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]
#
# `desist signing-key export` prints the keys, the serial and the tenant's number. openssl takes the
# keys as arguments, which every user of the machine can read while it runs.
set -euo pipefail
export LC_ALL=C

domain=fb.example.com     # served by the MX
url=https://u.example.com # the public HTTPS door

fail() {
    echo "mint.sh: $1" >&2
    exit 1
}

# Enough for addresses in ASCII without quotes (the domain as xn--… where it is international); the
# shell knows no letters beyond. `POST /v1/tokens` mints for all.
canonical() {
    local text=$1 space=$' \t\r\n\f'
    text=${text#"${text%%[!"$space"]*}"}
    text=${text%"${text##*[!"$space"]}"}
    text=${text%.}
    local label='[A-Za-z0-9_-]+' plain='^[A-Za-z0-9!#$%&'\''*+./=?^_`{|}~-]+@'
    local name=${text%@*}
    if [[ ! $text =~ $plain$label(\.$label)*$ ]] || ((${#name} > 256 || ${#text} > 512)); then
        fail "no address, or one that this example does not know to write"
    fi
    printf %s "${text,,}"
}

# HMAC-SHA256 of standard input with a key in hexadecimal, as hexadecimal.
mac() {
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -binary | xxd -p -c 64
}

mint() {
    local use=$1 ref=$2 body tag
    body=$(printf %02x%06x%04x $((0x10 | serial % 16)) "$tenant" "$stream")$recipient$ref
    tag=$({ xxd -r -p <<<"$body"; printf %s "$use"; } | mac "$signing_key")
    xxd -r -p <<<"$body${tag:0:32}" | base32 -w 0 | tr -d = | tr A-Z a-z
}

if (($# < 6 || $# > 7)); then
    fail "usage: mint.sh SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]"
fi
signing_key=$1 serial=$2 address_key=$3 address=$4 tenant=$5 stream=$6 ref=${7-}
if ((${#ref} > 12)); then
    fail "with more than 6 bytes of ref the address u-TOKEN is too long"
fi
text=$(canonical "$address")
recipient=$(printf %s "$text" | mac "$address_key")
recipient=${recipient:0:20}
token=$(mint f "$ref")
bounce=$(mint b '')
echo "feedback token: $token"
echo "bounce token: $bounce"
echo "MAIL FROM: b-$bounce@$domain"
echo "List-Unsubscribe: <$url/u/$token>, <mailto:u-$token@$domain?subject=unsubscribe>"
echo "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
echo "CFBL-Address: cfbl@$domain; report=arf"
echo "CFBL-Feedback-ID: $token"
echo "X-Desist: $token"
