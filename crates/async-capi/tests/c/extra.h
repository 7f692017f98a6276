/*
 * What not every OpenSSL has in its async.h: the functions of 3.2, and ours.
 */
#ifndef TESTS_EXTRA_H
#define TESTS_EXTRA_H

#include <openssl/async.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

int ASYNC_set_mem_functions(void *(*alloc_fn)(size_t *num), void (*free_fn)(void *addr));
void ASYNC_get_mem_functions(void *(**alloc_fn)(size_t *num), void (**free_fn)(void *addr));

#if __has_include(<async_capi.h>)
#include <async_capi.h>
#else
const char *async_capi_last_error(void);
const char *async_capi_version(void);
int async_capi_cancel_job(ASYNC_JOB **job, int *ret);
int async_capi_set_stack_bytes(size_t bytes);
int async_capi_report_stack_overflow(void);
#endif

#ifdef __cplusplus
}
#endif

#endif
