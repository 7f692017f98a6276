/*
 * libcrypto's functions for tests. Declared here, since its headers need not be installed. With LOCAL, the program
 * does not link libcrypto: it loads it for itself, as a plugin's loader does, so that nobody else sees its names.
 */
#ifndef TEST_LIBCRYPTO_H
#define TEST_LIBCRYPTO_H

#include <stdio.h>
#include <stdlib.h>

#define EXPECT(what)                                                        \
    do {                                                                    \
        if (!(what)) {                                                      \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;

OSSL_LIB_CTX *OSSL_LIB_CTX_new(void);
void OSSL_LIB_CTX_free(OSSL_LIB_CTX *ctx);
OSSL_LIB_CTX *OSSL_LIB_CTX_set0_default(OSSL_LIB_CTX *ctx);
unsigned long ERR_peek_error(void);
void ERR_clear_error(void);
void OPENSSL_cleanup(void);

#ifdef LOCAL
#include <dlfcn.h>

static void *libcrypto;

static void load_libcrypto(void)
{
    libcrypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    EXPECT(libcrypto != NULL);
    EXPECT(dlsym(RTLD_DEFAULT, "ERR_peek_error") == NULL);
}

static void *libcryptos(const char *name)
{
    void *found = dlsym(libcrypto, name);

    EXPECT(found != NULL);
    return found;
}

#define LIBCRYPTO(function) ((__typeof__(&function))libcryptos(#function))
#else
#define load_libcrypto() ((void)0)
#define LIBCRYPTO(function) (&function)
#endif

#endif
