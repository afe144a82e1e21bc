// Features in a temporary file of the server.
#include "feature_file.h"

#include "guard.h"

#include <fcntl.h>

extern "C" {
#include "commands/tablespace.h"
#include "utils/wait_event.h"
}

namespace csp::server {

FeatureFile::FeatureFile() : file_(server_call([] {
                                 PrepareTempTablespaces();
                                 return OpenTemporaryFile(false);
                             })) {}

void FeatureFile::write(const char *bytes, std::size_t size) {
    server_call([&] {
        while (size > 0) {
            // From PostgreSQL 17 on fewer bytes may be written than were given.
            const auto written = FileWrite(file_, const_cast<char *>(bytes), size, size_, WAIT_EVENT_BUFFILE_WRITE);
            if (written <= 0)
                ereport(ERROR, (errcode_for_file_access(), errmsg("could not write to file \"%s\": %m", FilePathName(file_))));
            bytes += written;
            size -= std::size_t(written);
            size_ += written;
        }
    });
}

int FeatureFile::finish() {
    return server_call([&] {
        ReserveExternalFD();  // for as long as the worker lives
        const int descriptor = open(FilePathName(file_), O_RDONLY | O_CLOEXEC);
        if (descriptor < 0)
            ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", FilePathName(file_))));
        FileClose(file_);
        return descriptor;
    });
}

}  // namespace csp::server
