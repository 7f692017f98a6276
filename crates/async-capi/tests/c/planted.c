/*
 * Bugs that valgrind and AddressSanitizer must report although they happen in a job. Never run without them.
 */
#include "check.h"

static volatile char sink;

static int writes_past_its_buffer(void *args)
{
    volatile char *buffer = malloc(24);
    int at = *(int *)args;

    ASYNC_pause_job();
    buffer[at] = 1;
    free((void *)buffer);
    return 1;
}

static void run(int (*job_function)(void *), int args)
{
    ASYNC_JOB *job = NULL;
    int ret;

    START(&job, ctx, &ret, job_function, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
}

/* The same without a bug: nothing may be reported. */
static void nothing(void)
{
    run(writes_past_its_buffer, 23);
}

static void heap_overflow(void)
{
    run(writes_past_its_buffer, 24);
}

static int reads_beside_its_array(void *args)
{
    volatile char array[32] = { 0 };

    ASYNC_pause_job();
    sink = array[*(int *)args];
    return 1;
}

/* Valgrind does not know of arrays on stacks. */
static void stack_overflow(void)
{
    run(reads_beside_its_array, 33);
}

static int frees_its_buffer(void *args)
{
    char *volatile buffer = malloc(24); /* so that the compiler does not see it */

    (void)args;
    buffer[0] = 1;
    ASYNC_pause_job();
    free(buffer);
    sink = buffer[0];
    return 1;
}

static void use_after_free(void)
{
    run(frees_its_buffer, 0);
}

static void reads_its_data(ASYNC_WAIT_CTX *of, const void *key, OSSL_ASYNC_FD fd, void *data)
{
    (void)of, (void)key, (void)fd;
    sink = *(volatile char *)data;
}

static void use_in_a_cleanup(void)
{
    char *volatile data = calloc(1, 8);

    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, data, 5, data, reads_its_data), 1);
    free(data);
}

static int decides_on_nothing(void *args)
{
    volatile char *buffer = malloc(24);

    (void)args;
    ASYNC_pause_job();
    if (buffer[3] == 7)
        ASYNC_block_pause();
    free((void *)buffer);
    return 1;
}

/* Only valgrind knows of bytes that were never written. */
static void uninitialised(void)
{
    run(decides_on_nothing, 0);
}

static int loses_its_buffer(void *args)
{
    void *volatile buffer = malloc(4242);

    (void)args;
    ASYNC_pause_job();
    buffer = NULL;
    return buffer == NULL;
}

static void leak(void)
{
    run(loses_its_buffer, 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "nothing", nothing, ANYWHERE },
        { "heap_overflow", heap_overflow, ANYWHERE },
        { "stack_overflow", stack_overflow, ANYWHERE },
        { "use_after_free", use_after_free, ANYWHERE },
        { "use_in_a_cleanup", use_in_a_cleanup, ANYWHERE },
        { "uninitialised", uninitialised, ANYWHERE },
        { "leak", leak, ANYWHERE },
    };

    return argc > 1 ? RUN(cases) : 2;
}
