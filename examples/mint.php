<?php
// Mints the tokens of one outgoing mail with nothing but PHP itself.
//
// usage: mint.php SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]
//
// `desist signing-key export` prints the keys, the serial and the tenant's number.
declare(strict_types=1);

const DOMAIN = 'fb.example.com'; // served by the MX
const URL = 'https://u.example.com'; // the public HTTPS door

// Enough for addresses without quotes whose domain is written in ASCII (as xn--… where it is
// international); `POST /v1/tokens` mints for all. Letters beyond ASCII before the @ need the
// extensions mbstring and intl.
function canonical(string $address): string
{
    $text = trim($address, " \t\r\n\f");
    $at = strrpos($text, '@');
    $local = fold(substr($text, 0, (int) $at));
    $domain = strtolower(preg_replace('/\.$/D', '', substr($text, $at === false ? 0 : $at + 1)));
    if (strlen($local) > 256 || strlen("$local@$domain") > 512
        || preg_match('/^[^\s\pZ\x00-\x20"(),:;<>@\[\\\\\]\x7f-\x{9f}]+$/uD', $local) !== 1
        || preg_match('/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/D', $domain) !== 1) {
        fail('no address, or one that this example does not know to write');
    }
    return "$local@$domain";
}

// Each code point lower-cased by itself, then NFC.
function fold(string $local): string
{
    if (preg_match('/^[\x00-\x7f]*$/D', $local) === 1) {
        return strtolower($local);
    }
    if (!function_exists('mb_strtolower') || !class_exists('Normalizer')) {
        fail('letters beyond ASCII need the extensions mbstring and intl');
    }
    $letters = array_map(fn (string $c): string => mb_strtolower($c, 'UTF-8'), mb_str_split($local, 1, 'UTF-8'));
    return (string) Normalizer::normalize(implode('', $letters), Normalizer::FORM_C);
}

function mac(string $key, string $message): string
{
    return hash_hmac('sha256', $message, $key, true);
}

function base32(string $bytes): string
{
    $bits = '';
    foreach (str_split($bytes) as $byte) {
        $bits .= sprintf('%08b', ord($byte));
    }
    $text = '';
    foreach (str_split($bits, 5) as $five) {
        $text .= 'abcdefghijklmnopqrstuvwxyz234567'[bindec(str_pad($five, 5, '0'))];
    }
    return $text;
}

function mint(string $use, string $key, int $serial, string $recipient, int $tenant, int $stream, string $ref): string
{
    $header = 0x10 | $serial % 16;
    $body = pack('Nn', $header << 24 | $tenant, $stream) . $recipient . $ref;
    return base32($body . substr(mac($key, $body . $use), 0, 16));
}

function fail(string $why): never
{
    fwrite(STDERR, "mint.php: $why\n");
    exit(1);
}

if ($argc < 7 || $argc > 8) {
    fail('usage: mint.php SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]');
}
[$signingKey, $addressKey, $ref] = array_map('hex2bin', [$argv[1], $argv[3], $argv[7] ?? '']);
[$serial, $tenant, $stream] = array_map('intval', [$argv[2], $argv[5], $argv[6]]);
if (strlen($ref) > 6) {
    fail('with more than 6 bytes of ref the address u-TOKEN is too long');
}
$recipient = substr(mac($addressKey, canonical($argv[4])), 0, 10);
$token = mint('f', $signingKey, $serial, $recipient, $tenant, $stream, $ref);
$bounce = mint('b', $signingKey, $serial, $recipient, $tenant, $stream, '');
echo "feedback token: $token\n";
echo "bounce token: $bounce\n";
echo "MAIL FROM: b-$bounce@" . DOMAIN . "\n";
echo 'List-Unsubscribe: <' . URL . "/u/$token>, <mailto:u-$token@" . DOMAIN . "?subject=unsubscribe>\n";
echo "List-Unsubscribe-Post: List-Unsubscribe=One-Click\n";
echo 'CFBL-Address: cfbl@' . DOMAIN . "; report=arf\nCFBL-Feedback-ID: $token\nX-Desist: $token\n";
