/*
 * Ciphers of the provider beside those of the default provider: the same calls give the same bytes.
 *
 *   ciphers compare SEED    random keys, IVs, lengths, pieces; copies in mid-stream, new IVs, forged tags
 *   ciphers records         records of TLS 1.2, good ones and others
 *   ciphers secret          the MAC of such a record
 *   ciphers room            what a provider is called with directly: output that is too small
 *   ciphers recover         the first operation fails on the device: only a new key and IV make the context good again
 *
 * Prints "checks=N". Ends with status 1 at the first difference.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>

#define MOST 40000
#define CHECK(yes) \
    do { \
        checks++; \
        if (!(yes)) { \
            fprintf(stderr, "line %d: %s (%s, %zu bytes)\n", __LINE__, #yes, name, total); \
            ERR_print_errors_fp(stderr); \
            exit(1); \
        } \
    } while (0)

static const char *const names[] = {"AES-128-CBC", "AES-256-CBC", "AES-128-CTR",
                                    "AES-256-CTR", "AES-128-GCM", "AES-256-GCM"};
static unsigned long checks;
static const char *name = "";
static size_t total;

/* The same numbers on every machine. */
static unsigned long long state;

static unsigned number(unsigned below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % below;
}

static void fill(unsigned char *bytes, size_t len)
{
    while (len-- > 0)
        *bytes++ = (unsigned char)number(256);
}

static EVP_CIPHER *fetch(const char *properties)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, properties);
    CHECK(cipher != NULL);
    return cipher;
}

/* One message, in pieces, as the plan says. */
struct plan {
    int encrypt, padding, in_place;
    size_t aad_len, pieces, piece[8];
    unsigned char key[32], iv[16], aad[64];
};

static void give(EVP_CIPHER_CTX *ctx, const struct plan *plan, size_t from, size_t to, const unsigned char *in,
                 unsigned char *out, size_t *at, size_t *made)
{
    for (; from < to; from++) {
        const unsigned char *piece = in + *at;
        unsigned char *place = out + *made;
        int len = -1;
        if (plan->in_place) {
            memcpy(place, piece, plan->piece[from]);
            piece = place;
        }
        CHECK(EVP_CipherUpdate(ctx, place, &len, piece, (int)plan->piece[from]) == 1);
        CHECK(len >= 0);
        *at += plan->piece[from];
        *made += (size_t)len;
    }
}

/* What is put out, with the tag behind it where there is one; or 0 if the end is refused. */
static size_t run(EVP_CIPHER *cipher, const struct plan *plan, const unsigned char *in, const unsigned char *tag,
                  unsigned char *out, int copied)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int gcm = EVP_CIPHER_get_mode(cipher) == EVP_CIPH_GCM_MODE, len = 0, done;
    size_t at = 0, made = 0, half = plan->pieces / 2;
    CHECK(ctx != NULL);
    CHECK(EVP_CipherInit_ex2(ctx, cipher, plan->key, plan->iv, plan->encrypt, NULL) == 1);
    CHECK(EVP_CIPHER_CTX_set_padding(ctx, plan->padding) == 1);
    if (gcm && plan->aad_len > 0)
        CHECK(EVP_CipherUpdate(ctx, NULL, &len, plan->aad, (int)plan->aad_len) == 1);
    if (gcm && !plan->encrypt)
        CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, (void *)tag) == 1);
    give(ctx, plan, 0, half, in, out, &at, &made);
    if (copied) {
        /* The copy goes on from here, and the first one's going on does not matter to it. */
        EVP_CIPHER_CTX *copy = EVP_CIPHER_CTX_new();
        unsigned char *other = malloc(MOST + 64);
        size_t other_at = at, other_made = made;
        CHECK(copy != NULL && other != NULL);
        if (EVP_CIPHER_CTX_copy(copy, ctx) != 1) {
            /* Some ciphers of some versions have no copies; the caller sees whether they are the same ones. */
            EVP_CIPHER_CTX_free(copy);
            EVP_CIPHER_CTX_free(ctx);
            free(other);
            return (size_t)-1;
        }
        give(ctx, plan, half, plan->pieces, in, other, &other_at, &other_made);
        EVP_CIPHER_CTX_free(ctx);
        free(other);
        ctx = copy;
    }
    give(ctx, plan, half, plan->pieces, in, out, &at, &made);
    ERR_clear_error();
    done = EVP_CipherFinal_ex(ctx, out + made, &len);
    if (done == 1) {
        made += (size_t)len;
        if (gcm && plan->encrypt) {
            CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + made) == 1);
            made += 16;
        }
        /* With another IV only, as records are ciphered. */
        CHECK(EVP_CipherInit_ex2(ctx, NULL, NULL, plan->aad, -1, NULL) == 1);
        CHECK(EVP_CipherUpdate(ctx, out + made, &len, in, (int)(total & ~15U)) == 1);
        made += (size_t)len;
    }
    EVP_CIPHER_CTX_free(ctx);
    return done == 1 ? made : 0;
}

static void plan_pieces(struct plan *plan)
{
    size_t left = total;
    plan->pieces = plan->in_place ? 1 : 1 + number(8);
    for (size_t i = 0; i < plan->pieces; i++) {
        plan->piece[i] = i + 1 == plan->pieces ? left : number((unsigned)left + 1);
        left -= plan->piece[i];
    }
}

static void compare(void)
{
    static const size_t totals[] = {0, 1, 15, 16, 17, 2047, 2048, 2049, 4096, 5000, 16384, 20000};
    unsigned char *in = malloc(MOST + 64), *tag;
    unsigned char *theirs = malloc(2 * MOST), *ours = malloc(2 * MOST), *back = malloc(2 * MOST);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        name = names[n];
        EVP_CIPHER *default_one = fetch("provider=default"), *our_one = fetch("provider=simaccel");
        int gcm = strstr(name, "GCM") != NULL, cbc = strstr(name, "CBC") != NULL;
        CHECK(strcmp(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(our_one)), "simaccel") == 0);
        CHECK(EVP_CIPHER_get_flags(our_one) == EVP_CIPHER_get_flags(default_one));
        CHECK(EVP_CIPHER_get_key_length(our_one) == EVP_CIPHER_get_key_length(default_one));
        CHECK(EVP_CIPHER_get_iv_length(our_one) == EVP_CIPHER_get_iv_length(default_one));
        CHECK(EVP_CIPHER_get_block_size(our_one) == EVP_CIPHER_get_block_size(default_one));
        for (size_t t = 0; t < 3 * sizeof totals / sizeof *totals; t++) {
            struct plan plan = {.encrypt = 1, .padding = 1};
            size_t len, cipher_len;
            total = totals[t / 3];
            fill(plan.key, sizeof plan.key);
            fill(plan.iv, sizeof plan.iv);
            fill(plan.aad, sizeof plan.aad);
            fill(in, total);
            plan.aad_len = number(sizeof plan.aad);
            plan.in_place = t % 3 == 0;
            plan.padding = !(total % 16 == 0 && t % 2);
            plan_pieces(&plan);

            len = run(default_one, &plan, in, NULL, theirs, 0);
            CHECK(run(our_one, &plan, in, NULL, ours, 0) == len);
            CHECK(memcmp(ours, theirs, len) == 0);
            cipher_len = len - (total & ~(size_t)15);
            len = run(default_one, &plan, in, NULL, back, 1);
            CHECK(run(our_one, &plan, in, NULL, ours, 1) == len);
            if (len != (size_t)-1) {
                CHECK(memcmp(ours, theirs, cipher_len) == 0);
                CHECK(memcmp(back, theirs, cipher_len) == 0);
            }

            /* And back. */
            size_t plain_len = total;
            total = gcm ? cipher_len - 16 : cipher_len;
            tag = theirs + total;
            plan.encrypt = 0;
            plan_pieces(&plan);
            len = run(default_one, &plan, theirs, tag, back, 0);
            CHECK(run(our_one, &plan, theirs, tag, ours, 0) == len);
            CHECK(memcmp(ours, back, len) == 0);
            CHECK(memcmp(ours, in, plain_len) == 0);

            /* What was tampered with, and with the same errors in the queue. */
            if (gcm || (cbc && plan.padding)) {
                unsigned long error;
                theirs[gcm ? number((unsigned)total + 16) : total - 1 - number(16)] ^= 0x40;
                len = run(default_one, &plan, theirs, tag, back, 0);
                error = ERR_peek_error();
                CHECK(run(our_one, &plan, theirs, tag, ours, 0) == len);
                CHECK(gcm ? len == 0 : 1);
                if (len == 0)
                    CHECK(ERR_peek_error() == error);
                ERR_clear_error();
            }
        }
        EVP_CIPHER_free(default_one);
        EVP_CIPHER_free(our_one);
    }
    free(in);
    free(theirs);
    free(ours);
    free(back);
}

/*
 * A record of TLS 1.2 each way: the plaintext is not at the beginning of what is deciphered, and the MAC of CBC is told
 * by its address. Says how long the plaintext is; or -1 if the record is refused.
 */
static int record(EVP_CIPHER *cipher, int encrypt, const unsigned char *key, const unsigned char *iv,
                  unsigned char *bytes, int len, unsigned char *mac)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int made = -1, gcm = EVP_CIPHER_get_mode(cipher) == EVP_CIPH_GCM_MODE;
    CHECK(ctx != NULL);
    CHECK(EVP_CipherInit_ex2(ctx, cipher, key, gcm ? NULL : iv, encrypt, NULL) == 1);
    if (gcm) {
        unsigned char aad[13] = {0, 0, 0, 0, 0, 0, 0, 1, 23, 3, 3};
        aad[11] = (unsigned char)((len - (encrypt ? 16 : 0)) >> 8);
        aad[12] = (unsigned char)(len - (encrypt ? 16 : 0));
        CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IV_FIXED, -1, (void *)iv) > 0);
        CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, 13, aad) == 16);
    } else {
        int version = TLS1_2_VERSION;
        size_t mac_len = 32;
        OSSL_PARAM params[] = {OSSL_PARAM_int(OSSL_CIPHER_PARAM_TLS_VERSION, &version),
                               OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_TLS_MAC_SIZE, &mac_len), OSSL_PARAM_END};
        CHECK(EVP_CIPHER_CTX_set_params(ctx, params) == 1);
    }
    if (EVP_CipherUpdate(ctx, bytes, &made, bytes, len) != 1)
        made = -1;
    else if (!gcm && !encrypt) {
        unsigned char *place = NULL;
        OSSL_PARAM params[] = {OSSL_PARAM_octet_ptr(OSSL_CIPHER_PARAM_TLS_MAC, (void **)&place, 32), OSSL_PARAM_END};
        CHECK(EVP_CIPHER_CTX_get_params(ctx, params) == 1 && place != NULL);
        memcpy(mac, place, 32);
    }
    EVP_CIPHER_CTX_free(ctx);
    return made;
}

static void records(void)
{
    static const int plains[] = {1, 100, 2048, 4096, 16384};
    static unsigned char plain[20000], theirs[20000], ours[20000], back[20000];
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        name = names[n];
        if (strstr(name, "CTR") != NULL)
            continue;
        EVP_CIPHER *default_one = fetch("provider=default"), *our_one = fetch("provider=simaccel");
        int gcm = strstr(name, "GCM") != NULL, before = gcm ? 8 : 16;
        for (size_t t = 0; t < sizeof plains / sizeof *plains; t++) {
            unsigned char key[32], iv[16], mac[32] = {0}, our_mac[32] = {0};
            int len = before + plains[t] + (gcm ? 16 : 32), their_len;
            total = (size_t)plains[t];
            fill(key, sizeof key);
            fill(iv, sizeof iv);
            fill(plain, (size_t)len);
            memcpy(theirs, plain, (size_t)len);
            memcpy(ours, plain, (size_t)len);
            len = record(default_one, 1, key, iv, theirs, len, mac);
            CHECK(len > 0);
            CHECK(record(our_one, 1, key, iv, ours, gcm ? len : before + plains[t] + 32, our_mac) == len);
            CHECK(memcmp(ours, theirs, (size_t)len) == 0);

            memcpy(back, theirs, (size_t)len);
            their_len = record(default_one, 0, key, iv, back, len, mac);
            CHECK(their_len == plains[t]);
            CHECK(record(our_one, 0, key, iv, ours, len, our_mac) == their_len);
            CHECK(memcmp(ours + before, plain + before, total) == 0);
            CHECK(memcmp(our_mac, mac, sizeof mac) == 0);
            if (!gcm)
                CHECK(memcmp(mac, plain + before + total, sizeof mac) == 0);

            /* A record that is no good, and one whose length cannot be right. */
            theirs[len - 1] ^= 1;
            memcpy(ours, theirs, (size_t)len);
            memcpy(back, theirs, (size_t)len);
            their_len = record(default_one, 0, key, iv, back, len, mac);
            CHECK(record(our_one, 0, key, iv, ours, len, our_mac) == their_len);
            CHECK(!gcm || their_len == -1);
            CHECK(record(our_one, 0, key, iv, ours, len - 1, our_mac) == -1);
            ERR_clear_error();
        }
        EVP_CIPHER_free(default_one);
        EVP_CIPHER_free(our_one);
    }
}

/* A function of our provider's AES-128-CTR or another one. */
static void (*function(const OSSL_ALGORITHM *list, int id))(void)
{
    size_t len = strlen(name);
    for (; list->algorithm_names != NULL; list++)
        if (strncmp(list->algorithm_names, name, len) == 0)
            for (const OSSL_DISPATCH *one = list->implementation; one->function_id != 0; one++)
                if (one->function_id == id)
                    return one->function;
    CHECK(!"the function is there");
    return NULL;
}

static void room(void)
{
    OSSL_PROVIDER *provider = OSSL_PROVIDER_load(NULL, "simaccel");
    const OSSL_ALGORITHM *list;
    int no_cache;
    unsigned char in[5000] = {0}, out[5100], key[32] = {0}, iv[16] = {0};
    CHECK(provider != NULL);
    list = OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, &no_cache);
    CHECK(list != NULL);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        name = names[n];
        OSSL_FUNC_cipher_newctx_fn *make = OSSL_FUNC_cipher_newctx(&(OSSL_DISPATCH){0, function(list, OSSL_FUNC_CIPHER_NEWCTX)});
        OSSL_FUNC_cipher_freectx_fn *release = OSSL_FUNC_cipher_freectx(&(OSSL_DISPATCH){0, function(list, OSSL_FUNC_CIPHER_FREECTX)});
        OSSL_FUNC_cipher_encrypt_init_fn *init = OSSL_FUNC_cipher_encrypt_init(&(OSSL_DISPATCH){0, function(list, OSSL_FUNC_CIPHER_ENCRYPT_INIT)});
        OSSL_FUNC_cipher_update_fn *update = OSSL_FUNC_cipher_update(&(OSSL_DISPATCH){0, function(list, OSSL_FUNC_CIPHER_UPDATE)});
        OSSL_FUNC_cipher_final_fn *finish = OSSL_FUNC_cipher_final(&(OSSL_DISPATCH){0, function(list, OSSL_FUNC_CIPHER_FINAL)});
        OSSL_FUNC_cipher_cipher_fn *whole = OSSL_FUNC_cipher_cipher(&(OSSL_DISPATCH){0, function(list, OSSL_FUNC_CIPHER_CIPHER)});
        int cbc = strstr(name, "CBC") != NULL;
        for (total = 48; total <= 4800; total *= 100) {
            void *ctx = make(OSSL_PROVIDER_get0_provider_ctx(provider));
            size_t len = 0;
            CHECK(ctx != NULL);
            CHECK(init(ctx, key, strstr(name, "256") ? 32 : 16, iv, strstr(name, "GCM") ? 12 : 16, NULL) == 1);
            memset(out, 0xEE, sizeof out);
            CHECK(update(ctx, out, &len, total - 1, in, total) == 0);
            CHECK(whole(ctx, out, &len, total - 1, in, total) == 0);
            for (size_t i = 0; i < sizeof out; i++)
                CHECK(out[i] == 0xEE);
            CHECK(update(ctx, out, &len, total + 16, in, total) == 1);
            CHECK(len == total && out[total] == 0xEE);
            /* The padding has nowhere to go. */
            CHECK(finish(ctx, out + total, &len, cbc ? 15 : 0) == !cbc);
            CHECK(out[total] == 0xEE);
            release(ctx);
        }
    }
    OSSL_PROVIDER_unload(provider);
}

/*
 * The MAC of a CBC record of TLS that has come in: how long its data is is a secret, and what is behind it is hashed
 * too, so as not to tell.
 */
static void secret(void)
{
    static unsigned char bytes[5000];
    unsigned char key[32] = {3}, header[13] = {0, 0, 0, 0, 0, 0, 0, 1, 23, 3, 3}, macs[2][EVP_MAX_MD_SIZE];
    const char *const properties[] = {"provider=default", "provider=simaccel"};
    name = "HMAC";
    fill(bytes, sizeof bytes);
    for (total = 0; total < 4700; total += 940) {
        size_t with_padding = total + 32 + 256, len;
        header[11] = (unsigned char)(total >> 8);
        header[12] = (unsigned char)total;
        for (int i = 0; i < 2; i++) {
            EVP_MAC *mac = EVP_MAC_fetch(NULL, name, properties[i]);
            EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac), *copy;
            OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 6),
                                   OSSL_PARAM_END};
            OSSL_PARAM size[] = {OSSL_PARAM_size_t(OSSL_MAC_PARAM_TLS_DATA_SIZE, &with_padding), OSSL_PARAM_END};
            CHECK(ctx != NULL && EVP_MAC_init(ctx, key, sizeof key, params) == 1);
            CHECK((copy = EVP_MAC_CTX_dup(ctx)) != NULL);
            CHECK(EVP_MAC_CTX_set_params(copy, size) == 1);
            CHECK(EVP_MAC_update(copy, header, sizeof header) == 1);
            CHECK(EVP_MAC_update(copy, bytes, total) == 1);
            CHECK(EVP_MAC_final(copy, macs[i], &len, sizeof macs[i]) == 1 && len == 32);
            EVP_MAC_CTX_free(copy);
            EVP_MAC_CTX_free(ctx);
            EVP_MAC_free(mac);
        }
        CHECK(memcmp(macs[0], macs[1], 32) == 0);
    }
}

static void recover(void)
{
    static unsigned char in[4096], out[5000], right[5000];
    unsigned char key[32] = {7}, iv[16] = {9};
    int len, last;
    total = sizeof in;
    name = "AES-256-CBC";
    EVP_CIPHER *default_one = fetch("provider=default"), *our_one = fetch("provider=simaccel");
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new(), *copy = EVP_CIPHER_CTX_new();
    CHECK(EVP_EncryptInit_ex2(ctx, default_one, key, iv, NULL) == 1);
    CHECK(EVP_EncryptUpdate(ctx, right, &len, in, sizeof in) == 1);
    CHECK(EVP_EncryptInit_ex2(ctx, our_one, key, iv, NULL) == 1);
    CHECK(EVP_EncryptUpdate(ctx, out, &len, in, sizeof in) == 0);
    CHECK(ERR_peek_error() != 0);
    CHECK(EVP_EncryptUpdate(ctx, out, &len, in, 16) == 0);
    CHECK(EVP_EncryptFinal_ex(ctx, out, &last) == 0);
    CHECK(EVP_EncryptInit_ex2(ctx, NULL, NULL, iv, NULL) == 0);
    CHECK(EVP_EncryptInit_ex2(ctx, NULL, key, NULL, NULL) == 0);
    CHECK(EVP_CIPHER_CTX_copy(copy, ctx) == 1);
    CHECK(EVP_EncryptUpdate(copy, out, &len, in, 16) == 0);
    CHECK(EVP_EncryptInit_ex2(ctx, NULL, key, iv, NULL) == 1);
    CHECK(EVP_EncryptUpdate(ctx, out, &len, in, sizeof in) == 1);
    CHECK(memcmp(out, right, sizeof in) == 0);
    CHECK(EVP_EncryptInit_ex2(copy, our_one, key, iv, NULL) == 1);
    CHECK(EVP_EncryptUpdate(copy, out, &len, in, sizeof in) == 1);
    CHECK(memcmp(out, right, sizeof in) == 0);
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_CTX_free(copy);
    EVP_CIPHER_free(default_one);
    EVP_CIPHER_free(our_one);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "compare") == 0 && argc > 2) {
        state = strtoull(argv[2], NULL, 10);
        compare();
    } else if (strcmp(what, "room") == 0)
        room();
    else if (strcmp(what, "records") == 0)
        records();
    else if (strcmp(what, "secret") == 0)
        secret();
    else if (strcmp(what, "recover") == 0)
        recover();
    else
        return 2;
    printf("checks=%lu\n", checks);
    return 0;
}
