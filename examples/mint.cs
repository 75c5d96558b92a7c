// Mints the tokens of one outgoing mail with nothing but .NET's own library.
//
// usage: mint SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]
//
// `desist signing-key export` prints the keys, the serial and the tenant's number.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

static class Mint
{
    const string Domain = "fb.example.com"; // served by the MX
    const string Url = "https://u.example.com"; // the public HTTPS door

    // Enough for addresses in ASCII without quotes (the domain as xn--… where it is international):
    // how .NET lower-cases letters beyond depends on its version. `POST /v1/tokens` mints for all.
    static string Canonical(string address)
    {
        var text = address.Trim(' ', '\t', '\r', '\n', '\f');
        text = text.EndsWith(".", StringComparison.Ordinal) ? text.Substring(0, text.Length - 1) : text;
        var plain = @"\A[!#-'*+./0-9=?A-Z^-~-]{1,256}@[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\z";
        if (text.Length > 512 || !Regex.IsMatch(text, plain))
        {
            Fail("no address, or one that this example does not know to write");
        }
        return text.ToLowerInvariant();
    }

    static IEnumerable<byte> Mac(byte[] key, IEnumerable<byte> message)
    {
        using (var mac = new HMACSHA256(key))
        {
            return mac.ComputeHash(message.ToArray());
        }
    }

    static string Base32(IEnumerable<byte> bytes)
    {
        var bits = string.Concat(bytes.Select(octet => Convert.ToString(octet, 2).PadLeft(8, '0')));
        var fives = Enumerable.Range(0, (bits.Length + 4) / 5)
            .Select(i => bits.Substring(i * 5, Math.Min(5, bits.Length - i * 5)).PadRight(5, '0'));
        return string.Concat(fives.Select(five => "abcdefghijklmnopqrstuvwxyz234567"[Convert.ToInt32(five, 2)]));
    }

    static string Make(char use, byte[] key, int serial, byte[] recipient, int tenant, int stream, byte[] refer)
    {
        var head = new[] { 0x10 | serial % 16, tenant >> 16, tenant >> 8, tenant, stream >> 8, stream };
        var body = head.Select(octet => (byte)(octet & 0xff)).Concat(recipient).Concat(refer).ToArray();
        return Base32(body.Concat(Mac(key, body.Concat(new[] { (byte)use })).Take(16)));
    }

    static byte[] Hex(string text)
    {
        return Enumerable.Range(0, text.Length / 2).Select(i => Convert.ToByte(text.Substring(i * 2, 2), 16)).ToArray();
    }

    static void Fail(string why)
    {
        Console.Error.WriteLine("mint.cs: " + why);
        Environment.Exit(1);
    }

    static void Main(string[] args)
    {
        if (args.Length < 6 || args.Length > 7)
        {
            Fail("usage: mint SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]");
        }
        byte[] signingKey = Hex(args[0]), addressKey = Hex(args[2]), refer = Hex(args.Length == 7 ? args[6] : "");
        int serial = int.Parse(args[1]), tenant = int.Parse(args[4]), stream = int.Parse(args[5]);
        if (refer.Length > 6)
        {
            Fail("with more than 6 bytes of ref the address u-TOKEN is too long");
        }
        var recipient = Mac(addressKey, Encoding.UTF8.GetBytes(Canonical(args[3]))).Take(10).ToArray();
        var token = Make('f', signingKey, serial, recipient, tenant, stream, refer);
        var bounce = Make('b', signingKey, serial, recipient, tenant, stream, new byte[0]);
        Console.Write("feedback token: " + token + "\n");
        Console.Write("bounce token: " + bounce + "\n");
        Console.Write("MAIL FROM: b-" + bounce + "@" + Domain + "\n");
        Console.Write("List-Unsubscribe: <" + Url + "/u/" + token + ">, <mailto:u-" + token + "@" + Domain
            + "?subject=unsubscribe>\n");
        Console.Write("List-Unsubscribe-Post: List-Unsubscribe=One-Click\n");
        Console.Write("CFBL-Address: cfbl@" + Domain + "; report=arf\n");
        Console.Write("CFBL-Feedback-ID: " + token + "\nX-Desist: " + token + "\n");
    }
}
