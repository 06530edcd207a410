/* p11rest: what this PKCS#11 module adds to the standard, for callers in C and C++.
 *
 * Include it after any PKCS#11 header (2.40 or later): only CKA_VENDOR_DEFINED and CKM_VENDOR_DEFINED are needed,
 * and only where one of the names below is used.
 */
#ifndef P11REST_H
#define P11REST_H

/* Attributes of keys, read with C_GetAttributeValue. "P11R" in ASCII, so that they meet nobody else's. */

/* The name that the HSM itself has for the key: UTF-8, not terminated. CKA_LABEL may be set otherwise. */
#define CKA_P11REST_KEY_NAME (CKA_VENDOR_DEFINED | 0x50313152UL)

/* The dialect of the back end that holds the key, as in the configuration ("securosys"): UTF-8, not terminated. */
#define CKA_P11REST_BACKEND (CKA_VENDOR_DEFINED | 0x50313153UL)

/* CK_BBOOL: whether a use of the key waits for the approval of others. */
#define CKA_P11REST_APPROVAL (CKA_VENDOR_DEFINED | 0x50313154UL)

/* A mechanism without a parameter: seals and opens texts (UTF-8) in the compact form of JSON Web Encryption, with
 * RSA-OAEP-256 and A256GCM. C_EncryptInit takes the public key and needs no login, C_DecryptInit the private key.
 * "FJWE" in ASCII. */
#define CKM_P11REST_JWE (CKM_VENDOR_DEFINED | 0x464A5745UL)

/* CK_C_INITIALIZE_ARGS.pReserved may point to this prefix, the path of a configuration file and a NUL. */
#define P11REST_RESERVED_PREFIX "config="

#endif
