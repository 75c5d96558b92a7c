import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.text.Normalizer;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Locale;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Mints the tokens of one outgoing mail with nothing but the JDK (17 or newer).
 *
 * <p>usage: java mint.java SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]
 *
 * <p>`desist signing-key export` prints the keys, the serial and the tenant's number.
 */
class Mint {
    static final String DOMAIN = "fb.example.com"; // served by the MX
    static final String URL = "https://u.example.com"; // the public HTTPS door

    /**
     * Enough for addresses without quotes whose domain is written in ASCII (as xn--… where it is
     * international: java.net.IDN follows older rules); `POST /v1/tokens` mints for all.
     */
    static String canonical(String address) {
        String text = address.replaceAll("^[ \t\r\n\f]+|[ \t\r\n\f]+$", "");
        int at = text.lastIndexOf('@');
        // Each code point by itself: the whole would follow rules of context.
        String letters = text.substring(0, Math.max(at, 0)).codePoints()
            .mapToObj(c -> Character.toString(c).toLowerCase(Locale.ROOT))
            .collect(Collectors.joining());
        String local = Normalizer.normalize(letters, Normalizer.Form.NFC);
        String domain = text.substring(at + 1).replaceAll("\\.$", "");
        int octets = local.getBytes(StandardCharsets.UTF_8).length;
        if (octets > 256 || octets + 1 + domain.length() > 512
                || !local.matches("[^\\p{IsWhite_Space}\\p{Cc}\"(),:;<>@\\[\\\\\\]]+")
                || !domain.matches("[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*")) {
            fail("no address, or one that this example does not know to write");
        }
        return local + "@" + domain.toLowerCase(Locale.ROOT);
    }

    static byte[] mac(byte[] key, byte[]... parts) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        for (byte[] part : parts) {
            mac.update(part);
        }
        return mac.doFinal();
    }

    static String base32(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        int bits = 0;
        int held = 0;
        for (byte octet : bytes) {
            held = held << 8 | octet & 0xff;
            for (bits += 8; bits >= 5; bits -= 5) {
                text.append("abcdefghijklmnopqrstuvwxyz234567".charAt(held >> bits - 5 & 31));
            }
        }
        return bits == 0 ? text.toString()
            : text.append("abcdefghijklmnopqrstuvwxyz234567".charAt(held << 5 - bits & 31)).toString();
    }

    static String mint(char use, byte[] key, int serial, byte[] recipient, int tenant, int stream, byte[] ref)
            throws GeneralSecurityException {
        byte[] body = ByteBuffer.allocate(16 + ref.length)
            .putInt((0x10 | serial % 16) << 24 | tenant).putShort((short) stream).put(recipient).put(ref).array();
        byte[] tag = Arrays.copyOf(mac(key, body, new byte[] {(byte) use}), 16);
        return base32(ByteBuffer.allocate(body.length + 16).put(body).put(tag).array());
    }

    static void fail(String why) {
        System.err.println("mint.java: " + why);
        System.exit(1);
    }

    public static void main(String[] args) throws GeneralSecurityException {
        if (args.length < 6 || args.length > 7) {
            fail("usage: java mint.java SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]");
        }
        var hex = HexFormat.of();
        byte[] signingKey = hex.parseHex(args[0]);
        byte[] addressKey = hex.parseHex(args[2]);
        byte[] ref = hex.parseHex(args.length == 7 ? args[6] : "");
        int serial = Integer.parseInt(args[1]);
        int tenant = Integer.parseInt(args[4]);
        int stream = Integer.parseInt(args[5]);
        if (ref.length > 6) {
            fail("with more than 6 bytes of ref the address u-TOKEN is too long");
        }
        byte[] recipient = Arrays.copyOf(mac(addressKey, canonical(args[3]).getBytes(StandardCharsets.UTF_8)), 10);
        String token = mint('f', signingKey, serial, recipient, tenant, stream, ref);
        String bounce = mint('b', signingKey, serial, recipient, tenant, stream, new byte[0]);
        System.out.println("feedback token: " + token);
        System.out.println("bounce token: " + bounce);
        System.out.println("MAIL FROM: b-" + bounce + "@" + DOMAIN);
        System.out.println("List-Unsubscribe: <" + URL + "/u/" + token + ">, <mailto:u-" + token + "@" + DOMAIN
            + "?subject=unsubscribe>");
        System.out.println("List-Unsubscribe-Post: List-Unsubscribe=One-Click");
        System.out.println("CFBL-Address: cfbl@" + DOMAIN + "; report=arf");
        System.out.println("CFBL-Feedback-ID: " + token);
        System.out.println("X-Desist: " + token);
    }
}
