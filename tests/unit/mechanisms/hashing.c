/* From a hash to its shard and place: core/hashing.h. */
#include "core/hashing.h"
#include "harness.h"

#define MOST_BITS 16
#define IN_PLACE UINT32_C(0x7FFFFFFF)

static uint32_t shard_of(uint64_t hash, unsigned bits)
{
#ifdef MUTANT_LOW_BITS /* what would be the simplest */
    return (uint32_t)hash & ((UINT32_C(1) << bits) - 1);
#else
    return sm_shard_of(hash, bits);
#endif
}

static const uint64_t BASES[] = {
    0,
    UINT64_C(1) << 16,
    UINT64_C(1) << 31,
    UINT64_C(1) << 32,
    UINT64_C(0x123456789ABC0000),
    UINT64_C(0x7FFFFFFFFFFF0000),
    UINT64_C(0xFFFFFFFFFFFF0000),
};
#define BASES_COUNT (sizeof BASES / sizeof BASES[0])

static void a_shard_and_a_place_are_in_range(void)
{
    uint64_t state = 1, hash;
    unsigned bits;
    int i;
    for (bits = 0; bits <= MOST_BITS; bits++) {
        for (i = 0; i < 2000; i++) {
            hash = next_number(&state);
            hash = i < 64 ? UINT64_C(1) << i : i < 128 ? ~(UINT64_C(1) << (i - 64)) : i == 128 ? 0 : hash;
            CHECK(shard_of(hash, bits) < UINT32_C(1) << bits);
            CHECK(sm_hash31_of(hash, bits) <= IN_PLACE);
        }
        CHECK_EQUAL(sm_hash31_of(0, bits), 0);
        CHECK(shard_of(UINT64_MAX, bits) < UINT32_C(1) << bits);
    }
}

static void of_neighbours_one_goes_to_each_shard(void)
{
    static uint8_t seen[1 << MOST_BITS];
    unsigned bits;
    size_t base;
    uint32_t i, shard;
    for (bits = 0; bits <= MOST_BITS; bits++) {
        for (base = 0; base < BASES_COUNT; base++) {
            memset(seen, 0, sizeof seen);
            for (i = 0; i < UINT32_C(1) << bits; i++) {
                shard = shard_of(BASES[base] + i, bits);
                CHECK_EQUAL(seen[shard], 0);
                seen[shard] = 1;
            }
        }
    }
}

/* The places of a row, up to the length where bits from above come in: 0, 1, 2, ..., the same in each shard. */
static void places_keep_neighbours_neighbours(void)
{
    unsigned bits;
    uint64_t hash;
    for (bits = 0; bits < 15; bits++) {
        uint32_t in_index = IN_PLACE >> bits;
        for (hash = 0; hash < UINT64_C(1) << 15; hash++)
            CHECK_EQUAL(sm_hash31_of(hash, bits) & in_index, hash >> bits);
    }
}

/* A row of 2^n, from a multiple of 2^n on, fills an index of 2^(n-b) places in each of 2^b shards. */
static void integers_in_a_row_never_meet(void)
{
    enum { ROW_BITS = 16 };
    static uint8_t seen[1 << ROW_BITS];
    unsigned bits;
    size_t base;
    uint32_t i, where;
    for (bits = 0; bits <= MOST_BITS; bits++) {
        for (base = 0; base < BASES_COUNT; base++) {
            memset(seen, 0, sizeof seen);
            for (i = 0; i < UINT32_C(1) << ROW_BITS; i++) {
                where = sm_hash31_of(BASES[base] + i, bits) & ((UINT32_C(1) << (ROW_BITS - bits)) - 1);
                where = shard_of(BASES[base] + i, bits) << (ROW_BITS - bits) | where;
                CHECK_EQUAL(seen[where], 0);
                seen[where] = 1;
            }
        }
    }
}

/* Shard and place follow from 31 bits, which the place says again: entries can be spread over more shards by them. */
static void the_place_says_all_that_is_kept_of_a_hash(void)
{
    uint64_t state = 2, hash;
    unsigned bits;
    uint32_t i, mixed;
    for (bits = 0; bits <= MOST_BITS; bits++) {
        for (i = 0; i < 20000; i++) {
            hash = next_number(&state);
            mixed = sm_mixed_of(hash);
            CHECK_EQUAL(sm_mixed_of_hash31(sm_hash31_of(hash, bits), bits), mixed);
            CHECK_EQUAL(sm_shard_of_mixed(mixed, bits), sm_shard_of(hash, bits));
            CHECK_EQUAL(sm_hash31_of_mixed(mixed, bits), sm_hash31_of(hash, bits));
        }
    }
}

/* What the lower half was, from all that is kept of it and the bit that is given up. */
static uint32_t low_of(uint32_t kept, uint32_t highest_bit)
{
    uint32_t above = (kept & ~((1u << SM_ROW_BITS) - 1)) | highest_bit;
    return (kept | highest_bit) ^ (sm_mixed_of(above) ^ (above & IN_PLACE));
}

static void two_such_hashes_share_a_place_and_no_third(void)
{
    uint64_t state = 3, hash;
    uint32_t i, kept;
    for (i = 0; i < 20000; i++) {
        hash = next_number(&state);
        kept = sm_mixed_of(hash) ^ sm_mixed_of(hash & ~UINT64_C(0xFFFFFFFF)); /* without the upper half */
        CHECK_EQUAL(low_of(kept, (uint32_t)hash & ~IN_PLACE), (uint32_t)hash);
        hash = (hash & ~UINT64_C(0xFFFFFFFF)) | low_of(kept, ~(uint32_t)hash & ~IN_PLACE); /* the other one */
        CHECK_EQUAL(sm_mixed_of(hash) ^ sm_mixed_of(hash & ~UINT64_C(0xFFFFFFFF)), kept);
    }
}

/* Hashes that share all 31 bits under one secret, which can be found by who knows it, do not under another. */
static void what_was_made_for_one_secret_does_not_meet_under_another(void)
{
    enum { CRAFTED = 4096 };
    static uint64_t hashes[CRAFTED];
    static uint32_t mixed[CRAFTED];
    const uint32_t wanted = 0x1234567;
    uint32_t i, j, low, pairs = 0;
    sm_hash_init(1);
    for (i = 0; i < CRAFTED; i++) {
        low = low_of(wanted ^ sm_mixed_of((uint64_t)(i + 1) << 32), 0);
        hashes[i] = (uint64_t)(i + 1) << 32 | low;
        CHECK_EQUAL(sm_mixed_of(hashes[i]), wanted);
    }
    sm_hash_init(UINT64_C(0xD1B54A32D192ED03));
    for (i = 0; i < CRAFTED; i++) {
        mixed[i] = sm_mixed_of(hashes[i]);
        for (j = 0; j < i; j++)
            pairs += mixed[i] == mixed[j];
    }
    CHECK(pairs <= 2); /* 2^12 random numbers of 31 bits: 2^-8 expected */
}

/* Keys of one place and different 31 bits leave it for different places. */
static void keys_of_one_place_part(void)
{
    enum { INDEX_BITS = 15, KEYS = 1 << 10 };
    static uint8_t met[1 << INDEX_BITS];
    uint64_t secret = 7;
    uint32_t i, place, most, turn;
    for (turn = 0; turn < 50; turn++) {
        sm_hash_init(next_number(&secret));
        memset(met, 0, sizeof met);
        most = 0;
        for (i = 0; i < KEYS; i++) {
            place = sm_perturb_of(i << INDEX_BITS | 5) & ((1u << INDEX_BITS) - 1);
            met[place]++;
            most = met[place] > most ? met[place] : most;
        }
        CHECK(most <= 8);
    }
    sm_hash_init(0);
}

/* --- Patterns that people have --- */

#define KEYS_A_SHARD 64

/* How full the fullest shard is, in hundredths of the mean. */
static unsigned fullest(const uint64_t *hashes, uint32_t count, unsigned bits)
{
    static uint32_t filled[1 << 10];
    uint32_t i, most = 0;
    memset(filled, 0, sizeof filled);
    for (i = 0; i < count; i++) {
        uint32_t now = ++filled[shard_of(hashes[i], bits)];
        most = now > most ? now : most;
    }
    return most * 100 / (count >> bits);
}

static uint64_t of_pattern(int pattern, uint64_t i, unsigned step, unsigned side)
{
    const uint64_t address = UINT64_C(0x7F0012340000) + i * 16 * step;
    switch (pattern) {
    case 0:
        return i * step; /* multiples */
    case 1:
        return -(i * step); /* negative ones */
    case 2:
        return (i * 29) << step % 40; /* multiples of a power of two */
    case 3:
        return (i >> side) << (side + step % 32) | (i & ((1u << side) - 1)); /* packed coordinates */
    case 4:
        return address;
    case 5:
        return address >> 4 | address << 60; /* hash(object()) */
    default:                                 /* hash(i / 2 ** k): turned within 61 bits */
        return (i << (60 - step % 40) | i >> (1 + step % 40)) & ((UINT64_C(1) << 61) - 1);
    }
}

static void patterns_are_spread_over_the_shards(void)
{
    static const unsigned BITS[] = {1, 2, 4, 6, 8, 10};
    static uint64_t hashes[KEYS_A_SHARD << 10];
    int pattern;
    size_t size;
    unsigned step;
    uint32_t i;
    for (size = 0; size < sizeof BITS / sizeof BITS[0]; size++) {
        unsigned bits = BITS[size], steps = bits < 10 ? 128 : 32;
        uint32_t count = (uint32_t)KEYS_A_SHARD << bits;
        for (pattern = 0; pattern <= 6; pattern++) {
            for (step = 1; step <= steps; step++) {
                for (i = 0; i < count; i++)
                    hashes[i] = of_pattern(pattern, i, step, (bits + 6) / 2);
                /* Random hashes: up to 150, of 1024 shards. */
                CHECK(fullest(hashes, count, bits) <= 225);
            }
        }
        for (i = 0; i < count; i++)
            hashes[i] = i;
        CHECK_EQUAL(fullest(hashes, count, bits), 100);
    }
}

int main(int argc, char **argv)
{
    static const test TESTS[] = {
        {"a shard and a place are in range, for any hash and number of shards", a_shard_and_a_place_are_in_range},
        {"of 2^b neighbours one goes to each of 2^b shards", of_neighbours_one_goes_to_each_shard},
        {"places keep neighbours neighbours", places_keep_neighbours_neighbours},
        {"integers in a row never meet", integers_in_a_row_never_meet},
        {"the place says all that is kept of a hash, for any number of shards",
         the_place_says_all_that_is_kept_of_a_hash},
        {"two such hashes share a place, and no third", two_such_hashes_share_a_place_and_no_third},
        {"what was made for one secret does not meet under another",
         what_was_made_for_one_secret_does_not_meet_under_another},
        {"keys of one place part", keys_of_one_place_part},
        {"patterns are spread over the shards", patterns_are_spread_over_the_shards},
    };
    return RUN_TESTS("hashing", TESTS, argc, argv);
}
