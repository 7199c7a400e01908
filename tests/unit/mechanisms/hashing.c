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
    0, UINT64_C(1) << 16, UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(0x123456789ABC0000),
    UINT64_C(0x7FFFFFFFFFFF0000), UINT64_C(0xFFFFFFFFFFFF0000),
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

/* Of 32 bits one is given up: two hashes share a place, those that differ in bits 31 and 16. */
static void two_such_hashes_share_a_place_and_no_third(void)
{
    uint64_t state = 3, hash;
    uint32_t i, folded, low;
    for (i = 0; i < 20000; i++) {
        hash = next_number(&state);
        CHECK_EQUAL(sm_hash31_of(hash, 0), sm_hash31_of(hash ^ UINT64_C(0x80010002), 0));
        folded = (uint32_t)(hash >> 32) * UINT32_C(0x9E3779B1);
        folded ^= folded >> 15;
        folded = ((sm_hash31_of(hash, 0) ^ folded) & IN_PLACE) | ((uint32_t)hash & ~IN_PLACE);
        low = folded ^ folded >> 15 ^ folded >> 30;
        CHECK_EQUAL(low, (uint32_t)hash);
    }
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
    case 0: return i * step;                                        /* multiples */
    case 1: return -(i * step);                                     /* negative ones */
    case 2: return (i * 29) << step % 40;                           /* multiples of a power of two */
    case 3: return (i >> side) << (side + step % 32) | (i & ((1u << side) - 1)); /* packed coordinates */
    case 4: return address;
    case 5: return address >> 4 | address << 60;                    /* hash(object()) */
    default: /* hash(i / 2 ** k): turned within 61 bits */
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
        {"two such hashes share a place, and no third",
         two_such_hashes_share_a_place_and_no_third},
        {"patterns are spread over the shards", patterns_are_spread_over_the_shards},
    };
    return RUN_TESTS("hashing", TESTS, argc, argv);
}
