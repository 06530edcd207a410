"""NSS in a program, as Firefox has it: how often it asks for the PIN, and what it makes of wrong and empty ones.

nss_login.py DATABASE MODULE TOKEN pin|open FILE SIGNATURE URL CA: signs FILE with the token's rsa-2048, by SHA-256. URL and CA are
the emulator's, which tells how many requests it had.
"""

import ctypes
import json
import ssl
import sys
import urllib.request

CKF_INTERFACE_FORK_SAFE = 1
SECSuccess, SECFailure, SECWouldBlock = 0, -1, -2
SEC_OID_PKCS1_SHA256_WITH_RSA_ENCRYPTION = 194

nss = ctypes.CDLL("libnss3.so")
nssutil = ctypes.CDLL("libnssutil3.so")
PIN_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Item(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("data", ctypes.POINTER(ctypes.c_ubyte)), ("len", ctypes.c_uint)]


def declare(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


text, pointer, number = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int
initialise = declare(nss, "NSS_Init", number, text)
shut_down = declare(nss, "NSS_Shutdown", number)
set_callback = declare(nss, "PK11_SetPasswordFunc", None, PIN_CALLBACK)
find_slot = declare(nss, "PK11_FindSlotByName", pointer, text)
free_slot = declare(nss, "PK11_FreeSlot", None, pointer)
needs_login = declare(nss, "PK11_NeedLogin", number, pointer)
needs_user_init = declare(nss, "PK11_NeedUserInit", number, pointer)
is_logged_in = declare(nss, "PK11_IsLoggedIn", number, pointer, pointer)
authenticate = declare(nss, "PK11_Authenticate", number, pointer, number, pointer)
check_password = declare(nss, "PK11_CheckUserPassword", number, pointer, text)
log_out = declare(nss, "PK11_Logout", number, pointer)
find_certificate = declare(nss, "PK11_FindCertFromNickname", pointer, text, pointer)
free_certificate = declare(nss, "CERT_DestroyCertificate", None, pointer)
find_key = declare(nss, "PK11_FindKeyByAnyCert", pointer, pointer, pointer)
free_key = declare(nss, "SECKEY_DestroyPrivateKey", None, pointer)
sign_data = declare(nss, "SEC_SignData", number, ctypes.POINTER(Item), text, number, pointer, number)
last_error = declare(ctypes.CDLL("libnspr4.so"), "PR_GetError", number)
duplicate = declare(nssutil, "PORT_Strdup_Util", pointer, text)


class Person:
    """Who types PINs: those of the list, then none. Remembers whether each question was a repeated one."""

    def __init__(self):
        self.answers, self.questions = [], []
        self.callback = PIN_CALLBACK(self.asked)
        set_callback(self.callback)

    def asked(self, _slot, retry, _argument):
        self.questions.append(bool(retry))
        return duplicate(self.answers.pop(0)) if self.answers else None

    def expect(self, questions, what):
        expect(self.questions, questions, f"questions {what}")
        self.questions = []


def expect(found, wanted, what):
    if found != wanted:
        sys.exit(f"{what}: {found!r}, not {wanted!r} (NSS error {last_error()})")
    print(f"{what}: {found!r}")


class Hsm:
    """The emulator behind the token."""

    def __init__(self, url, authority):
        self.url, self.context = url, ssl.create_default_context(cafile=authority)

    def requests(self):
        """How many it had, those of this question left out."""
        with urllib.request.urlopen(self.url + "/_emulator/stats", context=self.context) as answer:
            counts = json.load(answer)["requests"]
        return sum(count for route, count in counts.items() if "/_emulator" not in route)

    def sees(self, result, call, *arguments):
        """How many more it has after a call with this result."""
        before = self.requests()
        expect(call(*arguments), result, call.__name__)
        return self.requests() - before


def interfaces(path):
    """NSS asks for an interface that survives forks, and then for any."""
    get = ctypes.CDLL(path).C_GetInterface
    get.restype = ctypes.c_ulong
    get.argtypes = [text, pointer, ctypes.POINTER(pointer), ctypes.c_ulong]
    found = pointer()
    expect(get(b"PKCS 11", None, ctypes.byref(found), CKF_INTERFACE_FORK_SAFE) == 0, False, "an interface that survives forks")
    expect(get(b"PKCS 11", None, ctypes.byref(found), 0), 0, "C_GetInterface without flags")
    expect(bool(found), True, "its table")


def pins(slot, person, hsm):
    expect(needs_login(slot), 1, "login needed")
    expect(needs_user_init(slot), 0, "PIN to be set first")
    expect(is_logged_in(slot, None), 0, "logged in")

    expect(authenticate(slot, 1, None), SECFailure, "nobody types a PIN")
    person.expect([False], "of it")
    expect(hsm.sees(SECWouldBlock, check_password, slot, b""), 0, "requests for an empty PIN")
    expect(hsm.sees(SECWouldBlock, check_password, slot, b"4321") > 0, True, "requests for a wrong PIN")
    person.answers = [b"", b"4321", b"1234"]
    expect(authenticate(slot, 1, None), SECSuccess, "the third PIN is right")
    person.expect([False, True, True], "of it")
    expect(is_logged_in(slot, None), 1, "logged in")
    expect(authenticate(slot, 1, None), SECSuccess, "once more")
    person.expect([], "of it")

    expect(log_out(slot), SECSuccess, "logging out")
    expect(is_logged_in(slot, None), 0, "logged in")
    expect(check_password(slot, b"1234"), SECSuccess, "the right PIN")


def sign(token, source, target):
    certificate = find_certificate(token + b":rsa-2048", None)
    expect(bool(certificate), True, "the certificate")
    key = find_key(certificate, None)
    expect(bool(key), True, "its key")
    with open(source, "rb") as file:
        content = file.read()
    signature = Item()
    expect(
        sign_data(ctypes.byref(signature), content, len(content), key, SEC_OID_PKCS1_SHA256_WITH_RSA_ENCRYPTION),
        SECSuccess,
        "signing",
    )
    with open(target, "wb") as file:
        file.write(ctypes.string_at(signature.data, signature.len))
    free_key(key)
    free_certificate(certificate)


def main(database, module, token, kind, source, target, url, authority):
    token = token.encode()
    interfaces(module)
    expect(initialise(database.encode()), SECSuccess, "NSS_Init")
    person = Person()
    slot = find_slot(token)
    expect(bool(slot), True, "the slot")
    if kind == "pin":
        pins(slot, person, Hsm(url, authority))
    else:
        expect(needs_login(slot), 0, "login needed")
    sign(token, source, target)
    person.expect([], "for the signature")
    free_slot(slot)
    expect(shut_down(), SECSuccess, "NSS_Shutdown")


main(*sys.argv[1:])
