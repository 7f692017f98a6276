/*
 * How a process ends: with paused jobs, inside a job, on a stack that is full. Each is run in a child, and looked
 * at: its status, and what it says.
 */
#include "misuse.h"
#include <setjmp.h>
#include <ucontext.h>

/* Keeps the compiler from seeing that a function does not return. */
static volatile int never;

struct end {
    int status;
    char text[8192];
};

/* Runs it in a child, with what it writes on stderr kept. */
static struct end how_it_ends(void (*run)(void))
{
    struct end end = { 0 };
    size_t length = 0;
    int pipe_ends[2];
    ssize_t got;
    pid_t child;

    EQ(pipe(pipe_ends), 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], 2);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        alarm(CASE_SECONDS);
        run();
        exit(0);
    }
    CHECK(child > 0);
    close(pipe_ends[1]);
    while ((got = read(pipe_ends[0], end.text + length, sizeof end.text - 1 - length)) > 0)
        length += (size_t)got;
    close(pipe_ends[0]);
    EQ(waitpid(child, &end.status, 0), child);
    return end;
}

static void says(const char *file, int line, const struct end *end, const char *part)
{
    char message[9000];

    if (strstr(end->text, part) != NULL)
        return;
    snprintf(message, sizeof message, "status %#x, \"%s\" does not say \"%s\"", (unsigned)end->status, end->text, part);
    failed(file, line, message);
}

#define SAYS(end, part) says(__FILE__, __LINE__, &(end), part)

#define SIGNALLED(end, signal) \
    do { \
        if (!WIFSIGNALED((end).status)) \
            says(__FILE__, __LINE__, &(end), "a signal"); \
        EQ(WTERMSIG((end).status), signal); \
    } while (0)

#define EXITED(end, with) \
    do { \
        if (!WIFEXITED((end).status) || WEXITSTATUS((end).status) != (with)) \
            says(__FILE__, __LINE__, &(end), "another status"); \
    } while (0)

static int pauses_once(void *args)
{
    ASYNC_pause_job();
    return args ? *(int *)args : 1;
}

/* -- paused jobs -- */

static void *leaves_three(void *arg)
{
    ASYNC_JOB *jobs[5] = { NULL };
    int n, ret;

    for (n = 0; n < 5; n++)
        START(&jobs[n], ctx, &ret, pauses_once, &n, sizeof n, ASYNC_PAUSE);
    RESUME(&jobs[1], &ret, ASYNC_FINISH);
    RESUME(&jobs[4], &ret, ASYNC_FINISH);
    return arg;
}

static void a_thread_leaves_jobs(void)
{
    in_thread(leaves_three, NULL);
    everything_works();
}

static void main_leaves_jobs(void)
{
    leaves_three(NULL);
}

static void frees_a_context_under_a_job(void)
{
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;

    EQ(ASYNC_start_job(&job, own, NULL, pauses_once, NULL, 0), ASYNC_PAUSE);
    ASYNC_WAIT_CTX_free(own);
}

static void jobs_that_are_left_are_counted(void)
{
    struct end end = how_it_ends(a_thread_leaves_jobs);

    EXITED(end, 0);
    SAYS(end, " leaked=3\n");
    SAYS(end, " starts=25 pauses=45 resumes=42 finishes=22 cancels=0 abandoned=0 ");
    end = how_it_ends(main_leaves_jobs);
    EXITED(end, 0);
    SAYS(end, " starts=5 pauses=5 resumes=2 finishes=2 cancels=0 abandoned=0 leaked=3\n");
    end = how_it_ends(frees_a_context_under_a_job);
    EXITED(end, 0);
    SAYS(end, " starts=1 pauses=1 resumes=0 finishes=0 cancels=0 abandoned=1 ");
    end = how_it_ends(everything_works);
    EXITED(end, 0);
    SAYS(end, " starts=20 pauses=40 resumes=40 finishes=20 cancels=0 abandoned=0 leaked=0\n");
}

/* -- exit in a job -- */

static int exits(void *args)
{
    ASYNC_pause_job();
    exit(*(int *)args);
}

static void exits_in_a_job(void)
{
    ASYNC_JOB *job = NULL, *other = NULL;
    int args = 41, ret;

    START(&other, ctx, &ret, pauses_once, NULL, 0, ASYNC_PAUSE);
    START(&job, ctx, &ret, exits, &args, sizeof args, ASYNC_PAUSE);
    ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0);
    failed(__FILE__, __LINE__, "a job that has called exit() came back");
}

static void *exits_in_a_job_of_a_thread(void *arg)
{
    exits_in_a_job();
    return arg;
}

static void exits_elsewhere(void)
{
    in_thread(exits_in_a_job_of_a_thread, NULL);
}

static void uses_jobs(void)
{
    ASYNC_JOB *job = NULL;
    int ret = -7, state;

    /* It runs inside the job that has called exit(). */
    EQ(ASYNC_pause_job(), 1);
    state = ASYNC_start_job(&job, NULL, &ret, pauses_once, NULL, 0);
    EQ(state, ASYNC_ERR);
    fprintf(stderr, "handlers have run\n");
}

static void blocks_and_exits(void)
{
    EQ(atexit(uses_jobs), 0);
    ASYNC_block_pause();
}

static int exits_with_handlers(void *args)
{
    ASYNC_pause_job();
    blocks_and_exits();
    exit(*(int *)args);
}

static void exits_in_a_job_with_handlers(void)
{
    ASYNC_JOB *job = NULL;
    int args = 42, ret;

    START(&job, ctx, &ret, exits_with_handlers, &args, sizeof args, ASYNC_PAUSE);
    ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0);
}

static void pauses_at_exit(void)
{
    EQ(ASYNC_pause_job(), 1);
    EQ(ASYNC_get_current_job(), NULL);
    fprintf(stderr, "not paused\n");
}

static int exits_and_pauses(void *args)
{
    int n;

    for (n = 0; n < *(int *)args; n++)
        ASYNC_pause_job();
    EQ(atexit(pauses_at_exit), 0);
    exit(43);
}

/* A handler that may pause, in a job that has paused before and in one that has not. */
static void exits_in_a_job_and_pauses(int pauses)
{
    ASYNC_JOB *job = NULL;
    int ret;

    do
        ASYNC_start_job(&job, ctx, &ret, exits_and_pauses, &pauses, sizeof pauses);
    while (pauses-- > 0);
    failed(__FILE__, __LINE__, "a job that has called exit() came back");
}

static void exits_in_its_first_run(void)
{
    exits_in_a_job_and_pauses(0);
}

static void exits_in_its_second_run(void)
{
    exits_in_a_job_and_pauses(1);
}

static void exit_inside_a_job(void)
{
    struct end end = how_it_ends(exits_in_a_job);

    EXITED(end, 41);
    SAYS(end, " starts=2 pauses=2 resumes=1 finishes=0 ");
    end = how_it_ends(exits_elsewhere);
    EXITED(end, 41);
    SAYS(end, " starts=2 pauses=2 resumes=1 finishes=0 ");
    end = how_it_ends(exits_in_a_job_with_handlers);
    EXITED(end, 42);
    SAYS(end, "handlers have run\n");
    end = how_it_ends(exits_in_its_first_run);
    EXITED(end, 43);
    SAYS(end, "not paused\n");
    end = how_it_ends(exits_in_its_second_run);
    EXITED(end, 43);
    SAYS(end, "not paused\n");
}

/* -- a stack that is full -- */

static int goes_deeper(volatile char *above)
{
    volatile char here[200];

    memset((void *)here, above[0] + 1, sizeof here);
    if (never)
        return here[0];
    return goes_deeper(here) + here[199];
}

static int overflows(void *args)
{
    volatile char here[8] = { 0 };

    (void)args;
    ASYNC_pause_job();
    return goes_deeper(here);
}

static volatile char *neighbours[2];
static ASYNC_JOB *neighbour_jobs[2];

static int keeps_bytes(void *args)
{
    volatile char here[1000];
    int n = *(int *)args;

    memset((void *)here, 0x77, sizeof here);
    neighbours[n] = here;
    ASYNC_pause_job();
    return here[0];
}

/* Says where it happened, and lets it happen again, without this handler. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
    static const char stack_pointer_near[] = "at the stack pointer\n", intact[] = "the neighbours are intact\n";
#ifdef __aarch64__
    uintptr_t sp = (uintptr_t)((ucontext_t *)context)->uc_mcontext.sp;
#else
    uintptr_t sp = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
#endif
    uintptr_t at = (uintptr_t)info->si_addr;
    int n, bytes = 0;

    if (info->si_code == SEGV_ACCERR || info->si_code == SEGV_MAPERR)
        if (at + 4096 > sp && at < sp + 4096)
            bytes += write(2, stack_pointer_near, sizeof stack_pointer_near - 1);
    for (n = 0; n < 2000 && neighbours[n / 1000][n % 1000] == 0x77; n++)
        ;
    if (n == 2000)
        bytes += write(2, intact, sizeof intact - 1);
    if (bytes > 0)
        sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

/* Between two others, whose stacks are above and below its own. */
static void overflow_between_neighbours(void)
{
    ASYNC_JOB *job = NULL;
    int n = 0, ret;

    START(&neighbour_jobs[n], ctx, &ret, keeps_bytes, &n, sizeof n, ASYNC_PAUSE);
    START(&job, ctx, &ret, overflows, NULL, 0, ASYNC_PAUSE);
    n = 1;
    START(&neighbour_jobs[n], ctx, &ret, keeps_bytes, &n, sizeof n, ASYNC_PAUSE);
    ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0);
    failed(__FILE__, __LINE__, "the stack has no end");
}

static void overflows_with_a_handler(void)
{
    static char handlers_stack[65536];
    stack_t stack = { .ss_sp = handlers_stack, .ss_size = sizeof handlers_stack };
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    EQ(sigaltstack(&stack, NULL), 0);
    EQ(sigaction(SIGSEGV, &action, NULL), 0);
    overflow_between_neighbours();
}

static void overflows_and_says_so(void)
{
    EQ(async_capi_report_stack_overflow(), 1);
    EQ(async_capi_report_stack_overflow(), 1);
    everything_works();
    overflow_between_neighbours();
}

static void *overflows_in_thread(void *arg)
{
    overflow_between_neighbours();
    return arg;
}

static void overflows_elsewhere_and_says_so(void)
{
    EQ(async_capi_report_stack_overflow(), 1);
    in_thread(overflows_in_thread, NULL);
}

static int reads_null(void *args)
{
    ASYNC_pause_job();
    return **(volatile int *volatile *)args;
}

/* What is no overflow stays what it is. */
static void another_fault(void)
{
    int *null = NULL, ret;
    ASYNC_JOB *job = NULL;

    EQ(async_capi_report_stack_overflow(), 1);
    START(&job, ctx, &ret, reads_null, &null, sizeof null, ASYNC_PAUSE);
    ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0);
}

static void a_stack_that_is_full(void)
{
    struct end end = how_it_ends(overflow_between_neighbours);

    SIGNALLED(end, SIGSEGV);
    EQ(strlen(end.text), 0);
    end = how_it_ends(overflows_with_a_handler);
    SIGNALLED(end, SIGSEGV);
    SAYS(end, "at the stack pointer\n");
    SAYS(end, "the neighbours are intact\n");
}

static void a_full_stack_says_so(void)
{
    struct end end = how_it_ends(overflows_and_says_so);

    SIGNALLED(end, SIGABRT);
    SAYS(end, "stack");
    SAYS(end, "overflow");
    end = how_it_ends(overflows_elsewhere_and_says_so);
    SIGNALLED(end, SIGABRT);
    SAYS(end, "overflow");
    end = how_it_ends(another_fault);
    SIGNALLED(end, SIGSEGV);
    EQ(strstr(end.text, "overflow"), NULL);
}

/* -- longjmp -- */

static jmp_buf back;

static void jumps_after_a_pause(int depth)
{
    volatile char here[100];

    here[0] = (char)depth;
    if (depth > 0) {
        jumps_after_a_pause(depth - 1);
        return;
    }
    ASYNC_pause_job();
    if (!never)
        longjmp(back, 5 + here[0]);
}

static int jumps(void *args)
{
    jmp_buf *here = &back;
    volatile int local = *(int *)args;
    int round = setjmp(*here);

    EQ(local, *(int *)args);
    if (round == 0)
        jumps_after_a_pause(10);
    EQ(round, 5);
    ASYNC_pause_job();
    return local;
}

/* Within the job, across a pause: to a frame that is still there. */
static void longjmp_within_a_job(void)
{
    ASYNC_JOB *job = NULL;
    int args = 8, ret, n;

    for (n = 0; n < 3; n++) {
        START(&job, ctx, &ret, jumps, &args, sizeof args, ASYNC_PAUSE);
        everything_works();
        RESUME(&job, &ret, ASYNC_PAUSE);
        RESUME(&job, &ret, ASYNC_FINISH);
        EQ(ret, 8);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "jobs_that_are_left_are_counted", jobs_that_are_left_are_counted, OURS_ONLY },
        { "exit_inside_a_job", exit_inside_a_job, OURS_ONLY },
        { "a_stack_that_is_full", a_stack_that_is_full, OURS_ONLY },
        { "a_full_stack_says_so", a_full_stack_says_so, OURS_ONLY },
        { "longjmp_within_a_job", longjmp_within_a_job, OURS_ONLY },
    };

    return RUN(cases);
}
