// Looking up the model that a run goes on from.
#include "training_initial.h"

#include "catalog.h"
#include "spi.h"

#include "../training/initial_model.h"

#include <algorithm>

namespace csp::server {

namespace {

// Building the model checks every tensor against the configuration.
ModelContents read_version(int64 version) {
    const std::string bytes = read_weights(version);
    ModelContents contents = read_model(read_safetensors(bytes.data(), bytes.size()));
    Model(contents.config, contents.labels, contents.tensors);
    return contents;
}

// What it is called for as long as it exists and is not renamed, whatever is deployed.
std::string name_of_version(int64 version) {
    return with_spi([version] {
        SpiRows rows = spi_execute("SELECT v.model, v.version FROM csp.model_version v WHERE v.id OPERATOR(pg_catalog.=) $1",
                                   SpiArguments().add(version), true);
        return rows.text(0, 1) + "@" + rows.text(0, 2);
    });
}

// A model may have been dropped, and the name be somebody else's now.
void require_older_than_run(int64 version, int64 run, const std::string &name) {
    const bool older = with_spi([&] {
        return spi_execute("SELECT FROM csp.model_version v, csp.run r LEFT JOIN csp.search s ON s.id OPERATOR(pg_catalog.=) r.search "
                           "WHERE v.id OPERATOR(pg_catalog.=) $1 AND r.id OPERATOR(pg_catalog.=) $2 "
                           "AND v.created OPERATOR(pg_catalog.<) COALESCE(s.created, r.created)",
                           SpiArguments().add(version).add(run), true).count() == 1;
    });
    if (!older)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "the model that the run was to go on from is no longer there",
                       "\"" + name + "\" is a version now that was made after the run was queued.", "Train anew with csp_train.");
}

}  // namespace

std::vector<OptionValue> complete_options(std::vector<OptionValue> wanted) {
    const auto named = std::find_if(wanted.begin(), wanted.end(), [](auto &option) { return option.name == "from_model"; });
    if (named == wanted.end() || (named->kind == OptionKind::text && named->text.empty()))
        return wanted;
    TrainingOptions checked;
    set_option(checked, named->name, named->kind, named->text);
    const int64 version = resolve_model(named->text.c_str());
    named->text = name_of_version(version);
    return options_from_model(read_version(version).config, wanted);
}

ModelContents read_initial_model(const std::string &from_model, int64 run) {
    const int64 version = resolve_model(from_model.c_str());
    require_older_than_run(version, run, from_model);
    return read_version(version);
}

}  // namespace csp::server
