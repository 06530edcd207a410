/* All the functions of PKCS#11 3.2, by version and by what they need.
 *
 * Each is X(name, arguments). The arguments are names that the program defines before it uses a list: session, object,
 * slot, length, flags, type and pointer(), so that a program decides what it throws at the module.
 */
#ifndef P11REST_TEST_FUNCTIONS_H
#define P11REST_TEST_FUNCTIONS_H

/* Begin and end of the module's life. */
#define LIFE_CYCLE(X) \
    X(C_Initialize, pointer()) \
    X(C_Finalize, pointer())

/* May be called at any time. */
#define PURE_2_40(X) \
    X(C_GetFunctionList, pointer())

/* May be called at any time, since 3.0. */
#define PURE_3_0(X) \
    X(C_GetInterfaceList, pointer(), pointer()) \
    X(C_GetInterface, pointer(), pointer(), pointer(), flags)

/* Need no session. */
#define LIBRARY_2_40(X) \
    X(C_GetInfo, pointer()) \
    X(C_GetSlotList, CK_FALSE, pointer(), pointer()) \
    X(C_GetSlotInfo, slot, pointer()) \
    X(C_GetTokenInfo, slot, pointer()) \
    X(C_GetMechanismList, slot, pointer(), pointer()) \
    X(C_GetMechanismInfo, slot, type, pointer()) \
    X(C_InitToken, slot, pointer(), length, pointer()) \
    X(C_OpenSession, slot, flags, pointer(), NULL, pointer()) \
    X(C_CloseAllSessions, slot) \
    X(C_WaitForSlotEvent, flags, pointer(), pointer())

/* Need a session, and end it. */
#define CLOSE_2_40(X) \
    X(C_CloseSession, session)

/* Need a session. */
#define SESSION_2_40(X) \
    X(C_InitPIN, session, pointer(), length) \
    X(C_SetPIN, session, pointer(), length, pointer(), length) \
    X(C_GetSessionInfo, session, pointer()) \
    X(C_GetOperationState, session, pointer(), pointer()) \
    X(C_SetOperationState, session, pointer(), length, object, object) \
    X(C_Login, session, type, pointer(), length) \
    X(C_Logout, session) \
    X(C_CreateObject, session, pointer(), length, pointer()) \
    X(C_CopyObject, session, object, pointer(), length, pointer()) \
    X(C_DestroyObject, session, object) \
    X(C_GetObjectSize, session, object, pointer()) \
    X(C_GetAttributeValue, session, object, pointer(), length) \
    X(C_SetAttributeValue, session, object, pointer(), length) \
    X(C_FindObjectsInit, session, pointer(), length) \
    X(C_FindObjects, session, pointer(), length, pointer()) \
    X(C_FindObjectsFinal, session) \
    X(C_EncryptInit, session, pointer(), object) \
    X(C_Encrypt, session, pointer(), length, pointer(), pointer()) \
    X(C_EncryptUpdate, session, pointer(), length, pointer(), pointer()) \
    X(C_EncryptFinal, session, pointer(), pointer()) \
    X(C_DecryptInit, session, pointer(), object) \
    X(C_Decrypt, session, pointer(), length, pointer(), pointer()) \
    X(C_DecryptUpdate, session, pointer(), length, pointer(), pointer()) \
    X(C_DecryptFinal, session, pointer(), pointer()) \
    X(C_DigestInit, session, pointer()) \
    X(C_Digest, session, pointer(), length, pointer(), pointer()) \
    X(C_DigestUpdate, session, pointer(), length) \
    X(C_DigestKey, session, object) \
    X(C_DigestFinal, session, pointer(), pointer()) \
    X(C_SignInit, session, pointer(), object) \
    X(C_Sign, session, pointer(), length, pointer(), pointer()) \
    X(C_SignUpdate, session, pointer(), length) \
    X(C_SignFinal, session, pointer(), pointer()) \
    X(C_SignRecoverInit, session, pointer(), object) \
    X(C_SignRecover, session, pointer(), length, pointer(), pointer()) \
    X(C_VerifyInit, session, pointer(), object) \
    X(C_Verify, session, pointer(), length, pointer(), length) \
    X(C_VerifyUpdate, session, pointer(), length) \
    X(C_VerifyFinal, session, pointer(), length) \
    X(C_VerifyRecoverInit, session, pointer(), object) \
    X(C_VerifyRecover, session, pointer(), length, pointer(), pointer()) \
    X(C_DigestEncryptUpdate, session, pointer(), length, pointer(), pointer()) \
    X(C_DecryptDigestUpdate, session, pointer(), length, pointer(), pointer()) \
    X(C_SignEncryptUpdate, session, pointer(), length, pointer(), pointer()) \
    X(C_DecryptVerifyUpdate, session, pointer(), length, pointer(), pointer()) \
    X(C_GenerateKey, session, pointer(), pointer(), length, pointer()) \
    X(C_GenerateKeyPair, session, pointer(), pointer(), length, pointer(), length, pointer(), pointer()) \
    X(C_WrapKey, session, pointer(), object, object, pointer(), pointer()) \
    X(C_UnwrapKey, session, pointer(), object, pointer(), length, pointer(), length, pointer()) \
    X(C_DeriveKey, session, pointer(), object, pointer(), length, pointer()) \
    X(C_SeedRandom, session, pointer(), length) \
    X(C_GenerateRandom, session, pointer(), length) \
    X(C_GetFunctionStatus, session) \
    X(C_CancelFunction, session)

/* Need a session, since 3.0. */
#define SESSION_3_0(X) \
    X(C_LoginUser, session, type, pointer(), length, pointer(), length) \
    X(C_SessionCancel, session, flags) \
    X(C_MessageEncryptInit, session, pointer(), object) \
    X(C_EncryptMessage, session, pointer(), length, pointer(), length, pointer(), length, pointer(), pointer()) \
    X(C_EncryptMessageBegin, session, pointer(), length, pointer(), length) \
    X(C_EncryptMessageNext, session, pointer(), length, pointer(), length, pointer(), pointer(), flags) \
    X(C_MessageEncryptFinal, session) \
    X(C_MessageDecryptInit, session, pointer(), object) \
    X(C_DecryptMessage, session, pointer(), length, pointer(), length, pointer(), length, pointer(), pointer()) \
    X(C_DecryptMessageBegin, session, pointer(), length, pointer(), length) \
    X(C_DecryptMessageNext, session, pointer(), length, pointer(), length, pointer(), pointer(), flags) \
    X(C_MessageDecryptFinal, session) \
    X(C_MessageSignInit, session, pointer(), object) \
    X(C_SignMessage, session, pointer(), length, pointer(), length, pointer(), pointer()) \
    X(C_SignMessageBegin, session, pointer(), length) \
    X(C_SignMessageNext, session, pointer(), length, pointer(), length, pointer(), pointer()) \
    X(C_MessageSignFinal, session) \
    X(C_MessageVerifyInit, session, pointer(), object) \
    X(C_VerifyMessage, session, pointer(), length, pointer(), length, pointer(), length) \
    X(C_VerifyMessageBegin, session, pointer(), length) \
    X(C_VerifyMessageNext, session, pointer(), length, pointer(), length, pointer(), length) \
    X(C_MessageVerifyFinal, session)

/* Need a session, since 3.2. */
#define SESSION_3_2(X) \
    X(C_EncapsulateKey, session, pointer(), object, pointer(), length, pointer(), pointer(), pointer()) \
    X(C_DecapsulateKey, session, pointer(), object, pointer(), length, pointer(), length, pointer()) \
    X(C_VerifySignatureInit, session, pointer(), object, pointer(), length) \
    X(C_VerifySignature, session, pointer(), length) \
    X(C_VerifySignatureUpdate, session, pointer(), length) \
    X(C_VerifySignatureFinal, session) \
    X(C_GetSessionValidationFlags, session, type, pointer()) \
    X(C_AsyncComplete, session, pointer(), pointer()) \
    X(C_AsyncGetID, session, pointer(), pointer()) \
    X(C_AsyncJoin, session, pointer(), length, pointer(), length) \
    X(C_WrapKeyAuthenticated, session, pointer(), object, object, pointer(), length, pointer(), pointer()) \
    X(C_UnwrapKeyAuthenticated, session, pointer(), object, pointer(), length, pointer(), length, pointer(), \
      length, pointer())

/* All that need C_Initialize first, C_Finalize apart. */
#define INITIALIZED_2_40(X) LIBRARY_2_40(X) CLOSE_2_40(X) SESSION_2_40(X)
#define INITIALIZED_3_0(X) INITIALIZED_2_40(X) SESSION_3_0(X)
#define INITIALIZED_3_2(X) INITIALIZED_3_0(X) SESSION_3_2(X)

/* All the members of each table. */
#define FUNCTIONS_2_40(X) LIFE_CYCLE(X) PURE_2_40(X) INITIALIZED_2_40(X)
#define FUNCTIONS_3_0(X) LIFE_CYCLE(X) PURE_2_40(X) PURE_3_0(X) INITIALIZED_3_0(X)
#define FUNCTIONS_3_2(X) LIFE_CYCLE(X) PURE_2_40(X) PURE_3_0(X) INITIALIZED_3_2(X)

#endif
