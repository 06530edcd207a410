/* The function tables and interfaces: PKCS#11 3.2 sections 3.6 and 5.4. Nothing here needs C_Initialize. */
#include "check.h"
#include "functions.h"

#define ONE(name, ...) +1
#define MEMBERS(type) ((sizeof(type) - offsetof(type, C_Initialize)) / sizeof(CK_C_Initialize))

_Static_assert(MEMBERS(CK_FUNCTION_LIST) == 0 FUNCTIONS_2_40(ONE), "functions.h has all of 2.40");
_Static_assert(MEMBERS(CK_FUNCTION_LIST_3_0) == 0 FUNCTIONS_3_0(ONE), "functions.h has all of 3.0");
_Static_assert(MEMBERS(CK_FUNCTION_LIST_3_2) == 0 FUNCTIONS_3_2(ONE), "functions.h has all of 3.2");

/* An entry is the exported function of the same name: never NULL, never another. */
#define SAME(name, ...) \
    check(__FILE__, __LINE__, #name, dlsym(module, #name) != NULL && (void *)list->name == dlsym(module, #name));

static void same_2_40(void *module, const CK_FUNCTION_LIST *list) {
    FUNCTIONS_2_40(SAME)
}

static void same_3_0(void *module, const CK_FUNCTION_LIST_3_0 *list) {
    FUNCTIONS_3_0(SAME)
}

static void same_3_2(void *module, const CK_FUNCTION_LIST_3_2 *list) {
    FUNCTIONS_3_2(SAME)
}

static int has_version(const CK_INTERFACE *interface, CK_BYTE major, CK_BYTE minor) {
    const CK_VERSION *version = interface->pFunctionList;
    return version != NULL && version->major == major && version->minor == minor;
}

static int has_name(const CK_INTERFACE *interface) {
    return interface->pInterfaceName != NULL && strcmp((const char *)interface->pInterfaceName, "PKCS 11") == 0;
}

static void function_list(void *module) {
    CK_C_GetFunctionList get = (CK_C_GetFunctionList)required("C_GetFunctionList", dlsym(module, "C_GetFunctionList"));
    CK_FUNCTION_LIST *list = NULL;
    CHECK_RV(get(NULL), CKR_ARGUMENTS_BAD);
    if (CHECK_RV(get(&list), CKR_OK) && CHECK(list != NULL)) {
        CHECK(list->version.major == 2 && list->version.minor == 40);
        same_2_40(module, list);
    }
}

static void interface_list(void *module) {
    CK_C_GetInterfaceList get =
        (CK_C_GetInterfaceList)required("C_GetInterfaceList", dlsym(module, "C_GetInterfaceList"));
    CK_INTERFACE list[4];
    CK_ULONG count = 77;

    CHECK_RV(get(NULL, NULL), CKR_ARGUMENTS_BAD);
    CHECK_RV(get(list, NULL), CKR_ARGUMENTS_BAD);
    CHECK_RV(get(NULL, &count), CKR_OK);
    CHECK(count == 3);
    count = 2;
    CHECK_RV(get(list, &count), CKR_BUFFER_TOO_SMALL);
    CHECK(count == 3);
    count = 0;
    CHECK_RV(get(list, &count), CKR_BUFFER_TOO_SMALL);
    CHECK(count == 3);

    memset(list, 0, sizeof list);
    count = COUNT(list);
    if (!CHECK_RV(get(list, &count), CKR_OK) || !CHECK(count == 3)) {
        return;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        CHECK(has_name(&list[i]));
    }
    if (CHECK(has_version(&list[0], 3, 2))) {
        same_3_2(module, list[0].pFunctionList);
    }
    if (CHECK(has_version(&list[1], 3, 0))) {
        same_3_0(module, list[1].pFunctionList);
    }
    if (CHECK(has_version(&list[2], 2, 40))) {
        same_2_40(module, list[2].pFunctionList);
    }
}

/* The standard names no code for "no such interface": these two are in the list of the function. */
#define CHECK_NONE(call) CHECK_ONE_OF(call, CKR_ARGUMENTS_BAD, CKR_FUNCTION_FAILED)

static void one_interface(void *module) {
    CK_C_GetInterface get = (CK_C_GetInterface)required("C_GetInterface", dlsym(module, "C_GetInterface"));
    CK_UTF8CHAR *name = (CK_UTF8CHAR *)"PKCS 11";
    const CK_VERSION known[] = {{3, 2}, {3, 0}, {2, 40}};
    CK_VERSION unknown[] = {{3, 1}, {3, 3}, {2, 4}, {2, 41}, {4, 0}, {0, 0}, {255, 255}};
    char *unknown_names[] = {"", "PKCS", "PKCS 1", "PKCS 111", "pkcs 11", "PKCS11", "Vendor p11rest"};
    CK_INTERFACE *interface = NULL;

    CHECK_RV(get(NULL, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
    CHECK_RV(get(name, NULL, NULL, 0), CKR_ARGUMENTS_BAD);

    if (CHECK_RV(get(NULL, NULL, &interface, 0), CKR_OK) && CHECK(interface != NULL)) {
        CHECK(has_name(interface) && has_version(interface, 3, 2));
    }
    interface = NULL;
    if (CHECK_RV(get(name, NULL, &interface, 0), CKR_OK) && CHECK(interface != NULL)) {
        CHECK(has_name(interface) && has_version(interface, 3, 2));
    }
    for (size_t i = 0; i < COUNT(known); i++) {
        CK_VERSION version = known[i];
        CK_INTERFACE *unnamed = NULL;
        interface = NULL;
        if (CHECK_RV(get(name, &version, &interface, 0), CKR_OK) && CHECK(interface != NULL)) {
            CHECK(has_name(interface) && has_version(interface, version.major, version.minor));
        }
        CHECK_RV(get(NULL, &version, &unnamed, 0), CKR_OK);
        CHECK(unnamed != NULL && unnamed->pFunctionList == interface->pFunctionList);
    }

    for (size_t i = 0; i < COUNT(unknown); i++) {
        CHECK_NONE(get(name, &unknown[i], &interface, 0));
        CHECK_NONE(get(NULL, &unknown[i], &interface, 0));
    }
    for (size_t i = 0; i < COUNT(unknown_names); i++) {
        CHECK_NONE(get((CK_UTF8CHAR *)unknown_names[i], NULL, &interface, 0));
    }

    /* All the flags asked for must be there. */
    CHECK_NONE(get(name, NULL, &interface, 0x40000000UL));
    CHECK_NONE(get(NULL, NULL, &interface, ~0UL));
    interface = NULL;
    CK_RV rv = get(name, NULL, &interface, CKF_INTERFACE_FORK_SAFE);
    if (rv == CKR_OK) {
        CHECK(interface != NULL && (interface->flags & CKF_INTERFACE_FORK_SAFE) != 0);
    } else {
        CHECK_NONE(rv);
    }
}

int main(int argc, char **argv) {
    void *module = load(argc, argv);
    function_list(module);
    interface_list(module);
    one_interface(module);
    return finish();
}
