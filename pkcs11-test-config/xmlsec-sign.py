#!/usr/bin/python3
"""Signs an XML document with a key of the HSM, by xmlsec1 and OpenSSL's engine: docs/applications/xmlsec.md.

    xmlsec-sign.py TEMPLATE KEY CERTIFICATE OUTPUT [OPTION...]

TEMPLATE has an empty Signature, as xmlsec1 wants it; KEY is a pkcs11: URI, CERTIFICATE a PEM file. OPENSSL_CONF names the engine.
Each OPTION goes to `xmlsec1 --sign`: `--id-attr:ID urn:oasis:names:tc:SAML:2.0:assertion:Assertion` lets it find what SAML signs.

xmlsec1 1.2.37 with OpenSSL 3 does not take an engine's key for a private one. So it signs with a key that is made for this and thrown
away, and tells what bytes it signed; the HSM signs these, and its signature takes the place of the other.
"""
import base64
import os
import re
import subprocess
import sys
import tempfile


def run(*command, plain=True):
    """The output of a command; OpenSSL's configuration is for the one that signs alone."""
    environment = {name: value for name, value in os.environ.items() if not (plain and name == "OPENSSL_CONF")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit("%s:\n%s" % (" ".join(command[:2]), done.stderr.decode()))
    return done.stdout


def throwaway_key(public_key, file):
    curve = re.search(rb"ASN1 OID: (\S+)", public_key)
    if curve:
        curve = "ec_paramgen_curve:" + curve.group(1).decode()
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", file)
    else:
        run("openssl", "genpkey", "-algorithm", "RSA", "-out", file)


def fixed_width(der, width):
    """SEQUENCE { INTEGER r, INTEGER s } as XML has it: two numbers as long as the order of the curve."""
    numbers, rest = [], der[2:] if der[1] < 0x80 else der[3:]
    while rest:
        numbers.append(int.from_bytes(rest[2 : 2 + rest[1]], "big").to_bytes(width, "big"))
        rest = rest[2 + rest[1] :]
    return b"".join(numbers)


def main(template, key, certificate, output, *options):
    with tempfile.TemporaryDirectory() as folder:
        draft, other, signed = (os.path.join(folder, name) for name in ("draft.xml", "other.pem", "signed-info"))
        public_key = run("openssl", "x509", "-in", certificate, "-noout", "-pubkey", "-out", other)
        public_key = run("openssl", "pkey", "-pubin", "-in", other, "-noout", "-text")
        throwaway_key(public_key, other)
        told = run("xmlsec1", "--sign", "--store-signatures", "--print-debug", "--privkey-pem", other + "," + certificate,
                   "--output", draft, *options, template)
        parts = re.findall(rb"== PreSigned data - start buffer:\n(.*?)\n== PreSigned data - end buffer", told, re.S)
        if len(parts) != 1:
            sys.exit("xmlsec1 tells of %d signatures instead of one" % len(parts))
        with open(signed, "wb") as file:
            file.write(parts[0])

        method = re.search(rb'SignatureMethod Algorithm="[^"]*#(rsa|ecdsa)-(sha\d+)"', parts[0])
        if not method:
            sys.exit("the SignatureMethod is none of rsa-sha… and ecdsa-sha…")
        signature = run("openssl", "dgst", "-" + method.group(2).decode(), "-engine", "pkcs11", "-keyform", "engine",
                        "-sign", key, signed, plain=False)
        if method.group(1) == b"ecdsa":
            bits = int(re.search(rb"\((\d+) bit\)", public_key).group(1))
            signature = fixed_width(signature, (bits + 7) // 8)

        with open(draft, "rb") as file:
            document = file.read()
        value = re.compile(rb"(<(?:\w+:)?SignatureValue[^>]*>)[^<]*(</)")
        document, count = value.subn(lambda found: found[1] + base64.encodebytes(signature).strip() + found[2], document)
        if count != 1:
            sys.exit("the document has %d SignatureValues instead of one" % count)
        with open(output, "wb") as file:
            file.write(document)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
