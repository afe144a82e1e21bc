// Memory of this process, as Linux tells it.
#include "process_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace csp::server {

ProcessMemory process_memory() {
    ProcessMemory memory;
    std::ifstream pages("/proc/self/statm");
    int64 total = 0, resident = 0;
    if (pages >> total >> resident)
        memory.resident = resident * int64(sysconf(_SC_PAGESIZE));
    rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        memory.peak = std::max(int64(usage.ru_maxrss) * 1024, memory.resident);
    return memory;
}

}  // namespace csp::server
