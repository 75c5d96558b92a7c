// Mints the tokens of one outgoing mail with nothing but Go's standard library.
//
// usage: mint SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]
//
// `desist signing-key export` prints the keys, the serial and the tenant's number.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

const (
	domain = "fb.example.com"        // served by the MX
	url    = "https://u.example.com" // the public HTTPS door
)

// Addresses in ASCII without quotes.
var plain = regexp.MustCompile("^[!#-'*+./0-9=?A-Z^-~-]+@[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$")

// canonical is enough for addresses in ASCII (the domain as xn--… where it is international): the
// standard library has no Unicode normalisation. `POST /v1/tokens` mints for all.
func canonical(address string) string {
	text := strings.TrimSuffix(strings.Trim(address, " \t\r\n\f"), ".")
	if !plain.MatchString(text) || strings.Index(text, "@") > 256 || len(text) > 512 {
		fail("no address, or one that this example does not know to write")
	}
	return strings.ToLower(text)
}

func mac(key, message []byte) []byte {
	hash := hmac.New(sha256.New, key)
	hash.Write(message)
	return hash.Sum(nil)
}

func mint(use string, key []byte, serial uint64, recipient []byte, tenant, stream uint64, ref []byte) string {
	body := binary.BigEndian.AppendUint32(nil, uint32((0x10|serial%16)<<24|tenant))
	body = binary.BigEndian.AppendUint16(body, uint16(stream))
	body = append(append(body, recipient...), ref...)
	tag := mac(key, append(body[:len(body):len(body)], use...))[:16]
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append(body, tag...)))
}

func bytes(text string) []byte {
	decoded, err := hex.DecodeString(text)
	if err != nil {
		fail(err.Error())
	}
	return decoded
}

func number(text string, bits int) uint64 {
	value, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		fail(err.Error())
	}
	return value
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "mint.go:", why)
	os.Exit(1)
}

func main() {
	args := os.Args[1:]
	if len(args) == 6 {
		args = append(args, "")
	}
	if len(args) != 7 {
		fail("usage: mint SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]")
	}
	signingKey, addressKey, ref := bytes(args[0]), bytes(args[2]), bytes(args[6])
	serial, tenant, stream := number(args[1], 32), number(args[4], 24), number(args[5], 16)
	if len(ref) > 6 {
		fail("with more than 6 bytes of ref the address u-TOKEN is too long")
	}
	recipient := mac(addressKey, []byte(canonical(args[3])))[:10]
	token := mint("f", signingKey, serial, recipient, tenant, stream, ref)
	bounce := mint("b", signingKey, serial, recipient, tenant, stream, nil)
	fmt.Println("feedback token:", token)
	fmt.Println("bounce token:", bounce)
	fmt.Printf("MAIL FROM: b-%s@%s\n", bounce, domain)
	fmt.Printf("List-Unsubscribe: <%s/u/%s>, <mailto:u-%s@%s?subject=unsubscribe>\n", url, token, token, domain)
	fmt.Println("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	fmt.Printf("CFBL-Address: cfbl@%s; report=arf\nCFBL-Feedback-ID: %s\nX-Desist: %s\n", domain, token, token)
}
