/*
 * ASYNC_set_mem_functions and ASYNC_get_mem_functions: stacks from the program's own functions.
 */
#include "check.h"
#include <sys/mman.h>

static int allocs, frees;
static size_t asked, given;
static char *lowest;

static int uses_its_stack(void *args)
{
    size_t room = *(size_t *)args;
    volatile char here[room];

    memset((void *)here, 0x5A, room);
    if (given != 0)
        CHECK((char *)here > lowest && (char *)here + room < lowest + given);
    ASYNC_pause_job();
    EQ(here[0], 0x5A);
    EQ(here[room - 1], 0x5A);
    return 1;
}

static void run_a_job(size_t room)
{
    ASYNC_JOB *job = NULL;
    int ret = -1;

    START(&job, ctx, &ret, uses_its_stack, &room, sizeof room, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 1);
}

static void *counted_malloc(size_t *num)
{
    allocs++;
    asked = *num;
    return lowest = malloc(given = *num);
}

static void counted_free(void *addr)
{
    frees++;
    free(addr);
}

static void malloc_and_free(void)
{
    ASYNC_JOB *jobs[5] = { NULL };
    size_t room = 1000;
    int n, ret;

    EQ(ASYNC_set_mem_functions(counted_malloc, counted_free), 1);
    run_a_job(12000);
    EQ(asked, 32768);
    EQ(allocs, 1);
    EQ(frees, 0);
    run_a_job(1000); /* the same stack */
    EQ(allocs, 1);
    given = 0;
    for (n = 0; n < 5; n++) {
        START(&jobs[n], ctx, &ret, uses_its_stack, &room, sizeof room, ASYNC_PAUSE);
        given = 0;
    }
    EQ(allocs, 5);
    for (n = 0; n < 5; n++)
        RESUME(&jobs[n], &ret, ASYNC_FINISH);
    EQ(frees, 0);
    ASYNC_cleanup_thread();
    EQ(frees, 5);
    EQ(ASYNC_init_thread(3, 3), 1);
    EQ(allocs, 8);
    ASYNC_cleanup_thread();
    EQ(frees, 8);
    EQ(queued(), 0);
}

#define PAGE 4096
#define MAPPED (1 << 18)

static void *map_with_guard(size_t *num)
{
    char *memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || mprotect(memory, PAGE, PROT_NONE) != 0)
        return NULL;
    allocs++;
    *num = given = MAPPED - PAGE;
    return lowest = memory + PAGE;
}

static void unmap(void *addr)
{
    frees++;
    EQ(munmap((char *)addr - PAGE, MAPPED), 0);
}

/* The size that is written back is the one that counts: 200000 bytes do not fit into what was asked for. */
static void a_larger_stack(void)
{
    EQ(ASYNC_set_mem_functions(map_with_guard, unmap), 1);
    run_a_job(200000);
    ASYNC_cleanup_thread();
    EQ(allocs, 1);
    EQ(frees, 1);
}

static size_t odd_size;
static char odd_memory[1 << 16];

static void *odd_alloc(size_t *num)
{
    allocs++;
    *num = given = odd_size;
    return lowest = odd_memory + 3;
}

static void odd_free(void *addr)
{
    EQ(addr, odd_memory + 3);
    frees++;
}

/* Neither the address nor the size needs to be even. */
static void any_size_and_address(void)
{
    const size_t sizes[] = { 16385, 20001, 40007, sizeof odd_memory - 3 };
    size_t n;

    EQ(ASYNC_set_mem_functions(odd_alloc, odd_free), 1);
    for (n = 0; n < LENGTH(sizes); n++) {
        odd_size = sizes[n];
        run_a_job(1000);
        ASYNC_cleanup_thread();
        EQ(allocs, n + 1);
        EQ(frees, n + 1);
    }
}

static void a_stack_that_is_too_small(void)
{
    const size_t sizes[] = { 0, 1, 100, 4096, 8191 };
    ASYNC_JOB *job;
    size_t n, room = 10;
    int ret = -7;

    EQ(ASYNC_set_mem_functions(odd_alloc, odd_free), 1);
    for (n = 0; n < LENGTH(sizes); n++) {
        odd_size = sizes[n];
        job = NULL;
        START(&job, ctx, &ret, uses_its_stack, &room, sizeof room, ASYNC_NO_JOBS);
        EQ(job, NULL);
        EQ(ret, -7);
        EQ(frees, allocs);
        CHECK(strstr(async_capi_last_error(), "stack") != NULL);
    }
    EQ(ASYNC_init_thread(3, 3), 1);
    EQ(frees, allocs);
    odd_size = 40000;
    run_a_job(1000);
}

static int left;

static void *some_only(size_t *num)
{
    if (left == 0)
        return NULL;
    left--;
    return counted_malloc(num);
}

static void no_memory_for_a_stack(void)
{
    ASYNC_JOB *jobs[10] = { NULL };
    size_t room = 10;
    int n, ret = -7;

    EQ(ASYNC_set_mem_functions(some_only, counted_free), 1);
    START(&jobs[0], ctx, &ret, uses_its_stack, &room, sizeof room, ASYNC_NO_JOBS);
    EQ(jobs[0], NULL);
    EQ(ret, -7);
    EQ(queued(), 0);
    /* Fewer than asked for up front are no error. */
    left = 2;
    EQ(ASYNC_init_thread(5, 5), 1);
    EQ(allocs, 2);
    given = 0;
    for (n = 0; n < 2; n++)
        START(&jobs[n], ctx, &ret, uses_its_stack, &room, sizeof room, ASYNC_PAUSE);
    START(&jobs[2], ctx, &ret, uses_its_stack, &room, sizeof room, ASYNC_NO_JOBS);
    left = 9;
    for (n = 2; n < 5; n++) {
        START(&jobs[n], ctx, &ret, uses_its_stack, &room, sizeof room, ASYNC_PAUSE);
        given = 0;
    }
    START(&jobs[5], ctx, &ret, uses_its_stack, &room, sizeof room, ASYNC_NO_JOBS);
    for (n = 0; n < 5; n++)
        RESUME(&jobs[n], &ret, ASYNC_FINISH);
    ASYNC_cleanup_thread();
    EQ(allocs, 5);
    EQ(frees, 5);
}

static void *pauses_and_has_none(size_t *num)
{
    (void)num;
    EQ(ASYNC_pause_job(), 1);
    return NULL;
}

/* A job that was refused holds nothing of its context, whatever the function has called. */
static void pauses_for_a_stack(void)
{
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int ret;

    EQ(ASYNC_set_mem_functions(pauses_and_has_none, free), 1);
    START(&job, own, &ret, uses_its_stack, NULL, 0, ASYNC_NO_JOBS);
    ASYNC_WAIT_CTX_free(own);
    EQ(async_capi_abandoned_jobs(), 0);
}

static int is_starting_a_job;

static void starts_a_job_and_frees(void *addr)
{
    if (!is_starting_a_job) {
        is_starting_a_job = 1;
        run_a_job(100);
        is_starting_a_job = 0;
    }
    counted_free(addr);
}

/* Its stack comes from where all do, and so do those after it. */
static void starts_a_job_while_it_frees(void)
{
    EQ(ASYNC_set_mem_functions(counted_malloc, starts_a_job_and_frees), 1);
    run_a_job(100);
    ASYNC_cleanup_thread();
    EQ(allocs, 2);
    run_a_job(100);
    is_starting_a_job = 1;
    ASYNC_cleanup_thread();
    EQ(allocs, frees);
}

static void refused_after_the_first_stack(void)
{
    run_a_job(1000);
    EQ(ASYNC_set_mem_functions(counted_malloc, counted_free), 0);
    EQ(ASYNC_set_mem_functions(NULL, NULL), 0);
    ASYNC_cleanup_thread();
    EQ(ASYNC_set_mem_functions(counted_malloc, counted_free), 0);
    run_a_job(1000);
    EQ(allocs, 0);
}

static void refused_after_jobs_up_front(void)
{
    EQ(ASYNC_init_thread(2, 1), 1);
    EQ(ASYNC_set_mem_functions(counted_malloc, counted_free), 0);
    EQ(allocs, 0);
}

static void not_refused_before_there_is_a_stack(void)
{
    EQ(ASYNC_init_thread(2, 0), 1);
    EQ(ASYNC_init_thread(0, 0), 1);
    EQ(ASYNC_get_current_job(), NULL);
    EQ(ASYNC_pause_job(), 1);
    ASYNC_cleanup_thread();
    EQ(ASYNC_set_mem_functions(counted_malloc, counted_free), 1);
    EQ(ASYNC_set_mem_functions(map_with_guard, unmap), 1); /* the last one counts */
    run_a_job(100000);
    EQ(asked, 0);
    EQ(allocs, 1);
}

static void each_half_by_itself(void)
{
    void *(*alloc)(size_t *) = NULL, *(*usual_alloc)(size_t *) = NULL;
    void (*release)(void *) = NULL, (*usual_release)(void *) = NULL;
    size_t size = 32768;
    void *memory;

    /* The usual ones are functions that work. */
    ASYNC_get_mem_functions(&usual_alloc, &usual_release);
    CHECK(usual_alloc != NULL && usual_release != NULL);
    memory = usual_alloc(&size);
    CHECK(memory != NULL);
    CHECK(size >= 32768);
    memset(memory, 1, size);
    usual_release(memory);
    usual_release(NULL);

    ASYNC_get_mem_functions(NULL, NULL);
    EQ(ASYNC_set_mem_functions(counted_malloc, NULL), 1);
    ASYNC_get_mem_functions(&alloc, &release);
    EQ(alloc, counted_malloc);
    EQ(release, usual_release);
    EQ(ASYNC_set_mem_functions(NULL, counted_free), 1);
    EQ(ASYNC_set_mem_functions(NULL, NULL), 1);
    alloc = NULL;
    release = NULL;
    ASYNC_get_mem_functions(&alloc, NULL);
    ASYNC_get_mem_functions(NULL, &release);
    EQ(alloc, counted_malloc);
    EQ(release, counted_free);
    run_a_job(1000);
    ASYNC_cleanup_thread();
    EQ(allocs, 1);
    EQ(frees, 1);
    ASYNC_get_mem_functions(&alloc, &release);
    EQ(alloc, counted_malloc);
    EQ(release, counted_free);
}

static void only_where_to_free(void)
{
    EQ(ASYNC_set_mem_functions(NULL, counted_free), 1); /* the usual one is malloc */
    run_a_job(1000);
    ASYNC_cleanup_thread();
    EQ(frees, 1);
}

static void *thread_with_jobs(void *arg)
{
    run_a_job(1000);
    return arg;
}

static void a_threads_stacks_go_with_it(void)
{
    EQ(ASYNC_set_mem_functions(counted_malloc, counted_free), 1);
    in_thread(thread_with_jobs, NULL);
    EQ(allocs, 1);
    EQ(frees, 1);
}

static int big_frame(void *args)
{
    volatile char here[700000];

    (void)args;
    here[0] = here[sizeof here - 1] = 1;
    ASYNC_pause_job();
    return here[0] + here[sizeof here - 1];
}

/* Ours, for the stacks that this library makes. */
static void the_size_of_our_own_stacks(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0;

    EQ(async_capi_set_stack_bytes(0), 0);
    EQ(async_capi_set_stack_bytes(8191), 0);
    EQ(async_capi_set_stack_bytes(((size_t)1 << 30) + 1), 0);
    EQ(async_capi_set_stack_bytes(SIZE_MAX), 0);
    EQ(async_capi_set_stack_bytes(8192), 1);
    EQ(async_capi_set_stack_bytes(1 << 20), 1);
    START(&job, ctx, &ret, big_frame, NULL, 0, ASYNC_PAUSE);
    EQ(async_capi_set_stack_bytes(1 << 20), 0);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 2);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "malloc_and_free", malloc_and_free, OURS_ONLY },
        { "a_larger_stack", a_larger_stack, OURS_ONLY },
        { "any_size_and_address", any_size_and_address, OURS_ONLY },
        { "a_stack_that_is_too_small", a_stack_that_is_too_small, OURS_ONLY },
        { "no_memory_for_a_stack", no_memory_for_a_stack, OURS_ONLY },
        { "pauses_for_a_stack", pauses_for_a_stack, OURS_ONLY },
        { "starts_a_job_while_it_frees", starts_a_job_while_it_frees, OURS_ONLY },
        { "refused_after_the_first_stack", refused_after_the_first_stack, OURS_ONLY },
        { "refused_after_jobs_up_front", refused_after_jobs_up_front, OURS_ONLY },
        { "not_refused_before_there_is_a_stack", not_refused_before_there_is_a_stack, OURS_ONLY },
        { "each_half_by_itself", each_half_by_itself, OURS_ONLY },
        { "only_where_to_free", only_where_to_free, OURS_ONLY },
        { "a_threads_stacks_go_with_it", a_threads_stacks_go_with_it, OURS_ONLY },
        { "the_size_of_our_own_stacks", the_size_of_our_own_stacks, OURS_ONLY },
    };

    return RUN(cases);
}
