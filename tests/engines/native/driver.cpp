// Runs the native engine on plans from files, so that compilers' sanitizers can watch it.
//
//   driver run JOBS RESULTS            every job: its parameters at given levels, and what it draws
//   driver damage JOBS FIRST COUNT     damaged copies of the jobs: each is refused, or runs
//
//   driver code JOBS RESULTS           every job: the words of its levels, and whether they come back
//   driver miscode JOBS FIRST COUNT    words and tables that no encoder has: refused, or some levels
//
// A file is a sequence of arrays: the number of items (int64), then the items. A job is eight arrays
// (see harness.py), a result three: the engine's complaint, parameters, drawn levels; or two: the complaint
// and the words.

#include "engine.cpp"

#include <cerrno>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr size_t MEMORY = size_t(16) << 20;  // at a time: a damaged plan may ask for as much as it likes
constexpr int64_t POSITIONS = 512;           // that a damaged plan walks over

}  // namespace

#ifdef LIMIT_MEMORY
// The sanitizers' own operator new ends the process where memory is short; the engine expects an exception.
__attribute__((noinline)) void* operator new(size_t size) {
    void* memory = size > MEMORY ? nullptr : std::malloc(size ? size : 1);
    if (!memory) throw std::bad_alloc();
    return memory;
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, size_t) noexcept { std::free(memory); }
#endif

#ifdef NO_THREADS
extern "C" int pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) { return EAGAIN; }
#endif

namespace {

struct File {
    std::FILE* handle;
    File(const char* path, const char* mode) : handle(std::fopen(path, mode)) {
        if (!handle) throw std::runtime_error(path);
    }
    ~File() { std::fclose(handle); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    template <typename T>
    std::vector<T> read() {
        int64_t count = 0;
        if (std::fread(&count, sizeof count, 1, handle) != 1) throw std::runtime_error("no array follows");
        std::vector<T> items(static_cast<size_t>(count));
        if (count && std::fread(items.data(), sizeof(T), items.size(), handle) != items.size())
            throw std::runtime_error("an array ends too early");
        return items;
    }

    template <typename T>
    void write(const T* items, size_t size) {
        const auto count = static_cast<int64_t>(size);
        std::fwrite(&count, sizeof count, 1, handle);
        if (size) std::fwrite(items, sizeof(T), size, handle);
    }
};

struct Job {
    int32_t images = 0, threads = 0, arithmetic = 0;
    double temperature = 0;
    std::vector<int32_t> words, levels;
    std::vector<float> weights, conditions;
    std::vector<uint8_t> known;
    std::vector<double> uniform;
    std::vector<int64_t> tables;  // the largest parameter, and what it is looked up in; none of what codes nothing
};

Job read_job(File& file) {
    Job job;
    const auto settings = file.read<double>();
    job.images = int32_t(settings.at(0));
    job.threads = int32_t(settings.at(1));
    job.arithmetic = int32_t(settings.at(2));
    job.temperature = settings.at(3);
    job.words = file.read<int32_t>();
    job.weights = file.read<float>();
    job.conditions = file.read<float>();
    job.levels = file.read<int32_t>();
    job.known = file.read<uint8_t>();
    job.uniform = file.read<double>();
    job.tables = file.read<int64_t>();
    return job;
}

std::vector<Job> read_jobs(const char* path) {
    File file(path, "rb");
    std::vector<Job> jobs(size_t(file.read<double>().at(0)));
    for (Job& job : jobs) job = read_job(file);
    return jobs;
}

// The engine by its C interface.
struct Session {
    void* engine = nullptr;
    char complaint[256] = "";
    int32_t threads;

    explicit Session(const Job& job) : threads(job.threads) {
        pixelcnn_open(job.words.data(), int64_t(job.words.size()), job.weights.data(), int64_t(job.weights.size()),
                      job.images, job.threads, job.arithmetic, job.conditions.data(), int64_t(job.conditions.size()),
                      &engine, complaint, sizeof complaint);
    }
    ~Session() {
        if (engine) pixelcnn_close(engine);
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    const Plan& plan() const { return static_cast<Engine*>(engine)->plan; }

    // Parameters of the first positions in coding order, (positions, images, width).
    std::vector<float> step(const Job& job, int64_t positions) {
        const Plan& p = plan();
        const size_t size = size_t(job.images) * size_t(p.values[p.result].width);
        std::vector<float> all(size), out(size);
        all.clear();
        for (int64_t at = 0; at < positions && !complaint[0]; ++at) {
            const int64_t pixel = at / p.channels;
            pixelcnn_step(engine, job.levels.data(), int32_t(at % p.channels), int32_t(pixel / p.width),
                          int32_t(pixel % p.width), out.data(), complaint, sizeof complaint);
            all.insert(all.end(), out.begin(), out.end());
        }
        return all;
    }

    void fill(Job& job, int32_t rows) {
        pixelcnn_fill(engine, job.levels.data(), job.known.data(), job.uniform.data(), job.temperature, 0, rows,
                      threads, complaint, sizeof complaint);
    }
};

// Encodes levels, or decodes words into them; the words that were written.
std::vector<uint32_t> code(Session& session, const Job& job, std::vector<int32_t>& levels,
                           const std::vector<uint32_t>* words) {
    constexpr uint32_t none = 0;  // an empty array has no address of its own
    const uint32_t* given = !words ? nullptr : words->empty() ? &none : words->data();
    auto failed = pixelcnn_tables(session.engine, job.tables.data() + 1, int64_t(job.tables.size()) - 1,
                                  int32_t(job.tables.at(0)), given, words ? int64_t(words->size()) : 0,
                                  session.complaint, sizeof session.complaint);
    for (int32_t row = 0; row < session.plan().height && !failed; ++row)
        failed = pixelcnn_code(session.engine, levels.data(), row, row + 1, session.threads, session.complaint,
                               sizeof session.complaint);
    std::vector<uint32_t> found;
    if (failed || words) return found;
    int64_t count = 0;
    pixelcnn_words(session.engine, nullptr, &count, session.complaint, sizeof session.complaint);
    found.resize(size_t(count));
    pixelcnn_words(session.engine, found.data(), &count, session.complaint, sizeof session.complaint);
    return found;
}

int code_all(const char* jobs, const char* results) {
    File out(results, "wb");
    for (const Job& job : read_jobs(jobs)) {
        Session one(job), other(job);
        std::vector<int32_t> levels = job.levels, found(levels.size(), 0);
        const std::vector<uint32_t> words = code(one, job, levels, nullptr);
        if (!one.complaint[0]) code(other, job, found, &words);
        if (!one.complaint[0] && !other.complaint[0] && found != job.levels)
            std::snprintf(other.complaint, sizeof other.complaint, "other levels come back");
        const char* complaint = one.complaint[0] ? one.complaint : other.complaint;
        out.write(complaint, std::strlen(complaint));
        out.write(words.data(), words.size());
    }
    return 0;
}

int run(const char* jobs, const char* results) {
    File out(results, "wb");
    for (Job& job : read_jobs(jobs)) {
        std::vector<float> parameters;
        Session forced(job), free(job);
        if (forced.engine) {
            const Plan& p = forced.plan();
            parameters = forced.step(job, int64_t(p.channels) * p.height * p.width);
            free.fill(job, p.height);
        }
        out.write(forced.complaint, std::strlen(forced.complaint));
        out.write(parameters.data(), parameters.size());
        out.write(job.levels.data(), job.levels.size());
    }
    return 0;
}

// ---------------------------------------------------------------- damage

struct Random {  // splitmix64
    uint64_t state;
    uint64_t next() {
        uint64_t z = state += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    size_t below(size_t bound) { return bound ? size_t(next() % bound) : 0; }
};

int32_t odd_value(const std::vector<int32_t>& words, int32_t now, Random& random) {
    constexpr int32_t values[] = {0, 1, 2, 3, 15, 16, 17, 64, 65, 255, 4096, 65536, 1 << 20, 1 << 24, -1, -2};
    constexpr auto last = std::numeric_limits<int32_t>::max(), first = std::numeric_limits<int32_t>::min();
    switch (random.below(8)) {
        case 0: return int32_t(uint32_t(random.next()));
        case 1: return random.below(2) ? last : first;
        case 2: return words[random.below(words.size())];
        case 3: return int32_t(uint32_t(now) + 1);
        case 4: return int32_t(uint32_t(now) - 1);
        case 5: return int32_t(uint32_t(now) * 2);
        default: return values[random.below(std::size(values))];
    }
}

template <typename T>
void resize(std::vector<T>& items, Random& random) {
    if (random.below(2))
        items.resize(random.below(items.size()));
    else
        items.resize(items.size() + 1 + random.below(16));
}

void damage(Job& job, Random& random) {
    switch (random.below(12)) {
        case 0: return resize(job.weights, random);
        case 1: return resize(job.conditions, random);
        case 2: return resize(job.words, random);
        case 3: {
            for (size_t k = 0; k <= random.below(8); ++k) {
                const auto pattern = uint32_t(random.next());
                std::memcpy(&job.weights[random.below(job.weights.size())], &pattern, sizeof pattern);
            }
            return;
        }
        case 4: {  // a word too many, or one too few
            const auto at = job.words.begin() + int64_t(random.below(job.words.size()));
            if (random.below(2))
                job.words.erase(at);
            else
                job.words.insert(at, odd_value(job.words, *at, random));
            return;
        }
        default:
            for (size_t k = 0; k <= random.below(3); ++k) {
                int32_t& word = job.words[random.below(job.words.size())];
                word = odd_value(job.words, word, random);
            }
    }
}

enum class Outcome { REFUSED, RAN, TOO_LARGE };

// What the caller of a plan does: it brings images of the plan's size.
Outcome attempt(Job& job) {
    Session session(job);
    if (!session.engine) {
        if (!session.complaint[0]) throw std::runtime_error("refused without a message");
        return Outcome::REFUSED;
    }
    const Plan& p = session.plan();
    const int64_t row = int64_t(p.channels) * p.width, size = row * p.height;
    if (size * job.images > int64_t(MEMORY / sizeof(double))) return Outcome::TOO_LARGE;
    job.levels.assign(size_t(size * job.images), 0);
    job.known.assign(job.levels.size(), 0);
    job.uniform.assign(job.levels.size(), 0.5);
    session.step(job, std::min(size, POSITIONS));
    if (row <= POSITIONS) session.fill(job, int32_t(std::min<int64_t>(p.height, POSITIONS / row)));
    return Outcome::RAN;
}

int damage_all(const char* path, uint64_t first, uint64_t count) {
    const std::vector<Job> jobs = read_jobs(path);
    int64_t tally[3] = {};
    for (uint64_t number = first; number < first + count; ++number) {
        std::fprintf(stderr, "damaged plan %llu\n", static_cast<unsigned long long>(number));
        Random random{number};
        try {
            Job job = jobs[random.below(jobs.size())];
            damage(job, random);
            ++tally[int(attempt(job))];
        } catch (const std::bad_alloc&) {
            ++tally[int(Outcome::TOO_LARGE)];
        }
    }
    std::printf("%lld %lld %lld\n", static_cast<long long>(tally[0]), static_cast<long long>(tally[1]),
                static_cast<long long>(tally[2]));
    return 0;
}

int miscode_all(const char* path, uint64_t first, uint64_t count) {
    const std::vector<Job> jobs = read_jobs(path);
    int64_t refused = 0;
    for (uint64_t number = first; number < first + count; ++number) {
        std::fprintf(stderr, "damaged words %llu\n", static_cast<unsigned long long>(number));
        Random random{number};
        Job job = jobs[random.below(jobs.size())];
        std::vector<int32_t> levels = job.levels;
        Session first_one(job);
        std::vector<uint32_t> words = code(first_one, job, levels, nullptr);
        switch (random.below(4)) {
            case 0: resize(words, random); break;
            case 1: job.tables.resize(random.below(2) ? 1 + random.below(job.tables.size()) : job.tables.size() + 1); break;
            case 2: job.levels[random.below(levels.size())] = odd_value(job.words, 0, random); break;
            default: words[random.below(words.size())] = uint32_t(random.next());
        }
        Session session(job), again(job);
        code(session, job, levels, &words);
        code(again, job, job.levels, nullptr);
        refused += session.complaint[0] || again.complaint[0];
    }
    std::printf("%lld\n", static_cast<long long>(refused));
    return 0;
}

}  // namespace

int main(int count, char** words) {
    const std::string action = count > 1 ? words[1] : "";
    if (action == "run" && count == 4) return run(words[2], words[3]);
    if (action == "code" && count == 4) return code_all(words[2], words[3]);
    if (action == "miscode" && count == 5)
        return miscode_all(words[2], std::strtoull(words[3], nullptr, 10), std::strtoull(words[4], nullptr, 10));
    if (action == "damage" && count == 5)
        return damage_all(words[2], std::strtoull(words[3], nullptr, 10), std::strtoull(words[4], nullptr, 10));
    std::fprintf(stderr, "usage: driver run|code JOBS RESULTS | driver damage|miscode JOBS FIRST COUNT\n");
    return 2;
}
