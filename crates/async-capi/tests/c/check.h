/*
 * What the test programs share: checks that say what they saw, and cases. A program without arguments runs all
 * of its cases, each in a process of its own; with the name of one as its argument, it runs that one itself.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "extra.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define MAYBE_UNUSED __attribute__((unused))

static const char *running_case = "";
/* A context for each case. A case that frees it sets it to NULL. */
static ASYNC_WAIT_CTX *ctx;

MAYBE_UNUSED static void failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: case %s: %s\n", file, line, running_case, what);
    fflush(NULL);
    _exit(1);
}

MAYBE_UNUSED static void equal(const char *file, int line, const char *what, long long seen, long long wanted)
{
    char text[512];

    if (seen == wanted)
        return;
    snprintf(text, sizeof text, "%s is %lld (%#llx), not %lld (%#llx)", what, seen, seen, wanted, wanted);
    failed(file, line, text);
}

/* Ends the program unless it holds. */
#define CHECK(what) ((what) ? (void)0 : failed(__FILE__, __LINE__, #what " does not hold"))
/* Ends the program unless both are the same number, or pointer. */
#define EQ(seen, wanted) equal(__FILE__, __LINE__, #seen, (long long)(seen), (long long)(wanted))

/* Whether the ASYNC functions are those of this library. */
MAYBE_UNUSED static int ours(void)
{
    return dlsym(RTLD_DEFAULT, "async_capi_version") != NULL;
}

/* The oldest error in OpenSSL's queue, taken out; 0 if there is none, or no libcrypto. */
MAYBE_UNUSED static unsigned long queued(void)
{
    unsigned long (*get)(void);

    *(void **)&get = dlsym(RTLD_DEFAULT, "ERR_get_error");
    return get == NULL ? 0 : get();
}

MAYBE_UNUSED static int libcrypto_is_here(void)
{
    return dlsym(RTLD_DEFAULT, "ERR_get_error") != NULL;
}

/* An error as OpenSSL packs it. */
#define PACKED(reason) (51UL << 23 | (reason))
#define INVALID_POOL_SIZE 103
#define MALLOC_FAILURE 0xC0100
#define PASSED_NULL 0xC0102
#define INTERNAL_ERROR 0xC0103

/* Where a case holds: OpenSSL's own functions may leave it undefined, or not have it. */
enum where { ANYWHERE, OURS_ONLY };

struct test_case {
    const char *name;
    void (*run)(void);
    enum where where;
};

/* Ends a case that hangs. */
#define CASE_SECONDS 100

MAYBE_UNUSED static int run_one(const struct test_case *test)
{
    running_case = test->name;
    alarm(CASE_SECONDS);
    ctx = ASYNC_WAIT_CTX_new();
    CHECK(ctx != NULL);
    test->run();
    ASYNC_WAIT_CTX_free(ctx);
    ASYNC_cleanup_thread();
    return 0;
}

/* Runs one in a child. Whether it went well. */
MAYBE_UNUSED static int run_in_child(const struct test_case *test)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0)
        exit(run_one(test));
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork, waitpid");
        return 0;
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "case %s: ended by signal %d\n", test->name, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        fprintf(stderr, "case %s: ended with status %d\n", test->name, WEXITSTATUS(status));
    return status == 0;
}

/* What `main` returns. Prints how many cases ran. */
MAYBE_UNUSED static int run_cases(const struct test_case *cases, size_t count, int argc, char **argv)
{
    size_t number, ran = 0, failures = 0;

    for (number = 0; number < count; number++) {
        if (argc > 1 && strcmp(argv[1], cases[number].name) == 0)
            return run_one(&cases[number]);
        if (argc > 1 || (cases[number].where == OURS_ONLY && !ours()))
            continue;
        ran++;
        failures += !run_in_child(&cases[number]);
    }
    if (argc > 1) {
        fprintf(stderr, "no case is called %s\n", argv[1]);
        return 2;
    }
    printf("%zu cases\n", ran);
    return failures != 0;
}

#define RUN(cases) run_cases(cases, LENGTH(cases), argc, argv)

/* Runs a job to its next pause or its end; which of them must be said. */
#define START(job, ctx, ret, func, args, size, outcome) \
    EQ(ASYNC_start_job(job, ctx, ret, func, args, size), outcome)
#define RESUME(job, ret, outcome) EQ(ASYNC_start_job(job, NULL, ret, NULL, NULL, 0), outcome)

/* A thread that runs `body`, and its end. */
MAYBE_UNUSED static void in_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;

    EQ(pthread_create(&thread, NULL, body, arg), 0);
    EQ(pthread_join(thread, NULL), 0);
}

#endif
