# csp_ext: contrastive spatial pre-training (CSP) for PostGIS.
#
#   make && make install      for the PostgreSQL of PG_CONFIG (default: pg_config in the PATH)
#   make LIBTORCH=/opt/torch  with an upstream LibTorch in place of the distribution's
#   make help                 all targets
#
# Two shared objects: csp_ext.so, which every backend loads, and csp_train.so, which only training workers load
# and which alone is linked with LibTorch.

PG_CONFIG ?= pg_config
LIBTORCH ?=
export PG_CONFIG LIBTORCH

EXTENSION = csp_ext
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" csp_ext.control)
.DEFAULT_GOAL := all

# These targets need no PGXS: the scripts install what is missing, then call make again.
.PHONY: deps demo test bench test-debian13 test-gis test-webmap map-pictures help
deps:
	@tools/install_dependencies.sh
demo:
	@MAKE='$(MAKE)' tools/demo.sh
test:
	@MAKE='$(MAKE)' tools/run_tests.sh
bench:
	@MAKE='$(MAKE)' bench/run.sh
test-debian13:
	@MAKE='$(MAKE)' tools/debian13.sh
test-gis:
	@MAKE='$(MAKE)' tools/test_gis.sh
test-webmap:
	@MAKE='$(MAKE)' tools/test_webmap.sh
map-pictures:
	@MAKE='$(MAKE)' tools/draw_maps.sh
help:
	@sed -n 's/^#: \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

#: make                build csp_ext.so, csp_train.so and the install script
#: make install        install them (DESTDIR= is honoured)
#: make uninstall      remove them
#: make installcheck   regression tests against a running server with csp_ext installed
#: make clean          remove what was built
#: make deps           install what building and testing need (Debian: apt)
#: make demo           the whole story on the sample data, in a private cluster that is removed afterwards
#: make test           all tests, in private clusters
#: make test-unit      the GoogleTest binaries alone
#: make test-debian13  make test inside a scratch Debian 13 (root, debootstrap)
#: make test-gis       layers and rasters in QGIS, ogr2ogr, gdal_translate and GeoPandas (installs them: 2 GB)
#: make test-webmap    examples/webmap in a headless browser (apt and npm install what it needs)
#: make bench          measurements beside what a user would do without the extension
#: make encoder-pictures  the pictures of doc/encoders.md (needs zlib1g-dev)
#: make map-pictures   the pictures of doc/maps.md (installs Matplotlib)
#:
#: PG_CONFIG=path      the pg_config of the PostgreSQL to build for
#: LIBTORCH=prefix     an upstream LibTorch (include/, lib/); default: the system's
#: WERROR=1            warnings are errors

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)

.PHONY: all install uninstall installcheck test-unit clean
all install uninstall installcheck test-unit:
	@tools/check_dependencies.sh
clean:
	rm -rf build *.so *.o $(EXTENSION)--*.sql src/*/*.o src/*/*.d bench/*.o bench/*.d test/unit/*.o test/unit/*.d

else

# ---- sources --------------------------------------------------------------------------------------------------

# Kernels for an instruction set exist on x86_64 only; others run the baseline kernel.
ARCHITECTURE := $(firstword $(subst -, ,$(shell $(or $(CXX),g++) -dumpmachine)))
FOREIGN_KERNELS := $(if $(filter x86_64,$(ARCHITECTURE)),,src/encoder/kernel_avx%)
objects = $(patsubst %.cpp,%.o,$(filter-out $(FOREIGN_KERNELS),$(sort $(wildcard $(1)))))

ENCODER_OBJS := $(call objects,src/encoder/*.cpp)
TRAINING_OBJS := $(call objects,src/training/*.cpp)
POSTGRES_OBJS := $(call objects,src/postgres/*.cpp)
# What csp_ext.so knows of training, free of LibTorch: the table of options, the store of features, what there is to compute
# on, and evaluation.
OPTIONS_OBJS := $(call objects,$(addprefix src/training/,options*.cpp feature_*.cpp checksum.cpp fitting_batch.cpp hardware.cpp \
	cuda_driver.cpp evaluation*.cpp random.cpp spatial_blocks.cpp validation_rows.cpp initial_model.cpp))
TORCH_OBJS := $(filter-out $(OPTIONS_OBJS),$(TRAINING_OBJS))
ENCODER_TEST_OBJS := $(call objects,test/unit/encoder*.cpp)
TRAINING_TEST_OBJS := $(call objects,test/unit/training*.cpp test/unit/host_device.cpp)
UNIT_TESTS := $(if $(ENCODER_TEST_OBJS),build/encoder_test) $(if $(TRAINING_TEST_OBJS),build/training_test)
# Programs of the benchmark: one a file, those named torch_* with LibTorch.
TORCH_BENCH_OBJS := $(call objects,bench/torch_*.cpp)
ENCODER_BENCH_OBJS := $(filter-out $(TORCH_BENCH_OBJS),$(call objects,bench/*.cpp))
BENCH_PROGRAMS := $(patsubst bench/%.o,build/%,$(ENCODER_BENCH_OBJS) $(TORCH_BENCH_OBJS))
ALL_OBJS := $(ENCODER_OBJS) $(TRAINING_OBJS) $(POSTGRES_OBJS) $(ENCODER_TEST_OBJS) $(TRAINING_TEST_OBJS) \
	$(ENCODER_BENCH_OBJS) $(TORCH_BENCH_OBJS)

# ---- PGXS -----------------------------------------------------------------------------------------------------

INSTALL_SCRIPT_SQL := $(EXTENSION)--$(EXTVERSION).sql
MODULE_big = csp_ext
OBJS = $(POSTGRES_OBJS) $(ENCODER_OBJS) $(OPTIONS_OBJS)
UPDATE_SCRIPTS_SQL := $(patsubst sql/upgrade/%/,$(EXTENSION)--%.sql,$(sort $(wildcard sql/upgrade/*--*/)))
DATA = $(wildcard raster/*)
DATA_built = $(INSTALL_SCRIPT_SQL) $(UPDATE_SCRIPTS_SQL)
EXTRA_CLEAN = build csp_train.so $(wildcard src/*/*.o src/*/*.d bench/*.o bench/*.d test/unit/*.o test/unit/*.d \
	$(EXTENSION)--*.sql)

# In this order: each builds on the models and tables of those before.
REGRESS = extension training_data train queries retrieval grids tiles files science train_errors privileges bulk batch \
	batch_modify batch_errors batch_explain batch_more devices streaming tune registry rights layers raster joins \
	fusion evaluation fine_tune drop
REGRESS_OPTS = --inputdir=test
ISOLATION_SPECS := $(sort $(wildcard test/isolation/specs/*.spec))
ifneq ($(ISOLATION_SPECS),)
ISOLATION = $(patsubst test/isolation/specs/%.spec,%,$(ISOLATION_SPECS))
endif
ISOLATION_OPTS = --inputdir=test/isolation
# The TAP tests start servers of their own, which initdb refuses to do for root: `make test` runs them as an
# unprivileged user, installcheck leaves them out for root.
ifneq ($(shell id -u),0)
ifneq ($(wildcard test/tap/*.pl),)
TAP_TESTS = 1
PROVE_TESTS = test/tap/*.pl
endif
endif

# No bitcode for the JIT: inlining a call into matrix kernels brings nothing, and making it needs clang.
override with_llvm = no

SHLIB_LINK = -Wl,--version-script=src/exports.map -lstdc++ -lm
# PGXS has the server's headers in CPPFLAGS. Only src/postgres may see them.
include $(PGXS)
PLAIN_CPPFLAGS = $(filter-out -I%/server -I%/internal,$(CPPFLAGS))

# ---- flags ----------------------------------------------------------------------------------------------------

# LibTorch decides for which of libstdc++'s two ABIs everything is compiled: both shared objects exchange strings.
ifneq ($(LIBTORCH),)
TORCH_CPPFLAGS = -isystem $(LIBTORCH)/include -isystem $(LIBTORCH)/include/torch/csrc/api/include
# Its Gloo is not the distribution's, whose headers may lie about.
ifeq ($(wildcard $(LIBTORCH)/include/gloo/context.h),)
TORCH_CPPFLAGS += -DCSP_WITHOUT_GLOO
endif
TORCH_LINK = -L$(LIBTORCH)/lib -Wl,-rpath,$(LIBTORCH)/lib
TORCH_CUDA := $(wildcard $(LIBTORCH)/lib/libtorch_cuda.so)
CXX11_ABI := $(shell tools/libtorch_abi.sh '$(LIBTORCH)')
else
TORCH_CPPFLAGS = -isystem /usr/include/torch/csrc/api/include
TORCH_LINK =
TORCH_CUDA =
CXX11_ABI = 1
endif
TORCH_LINK += -Wl,--as-needed -ltorch -ltorch_cpu -lc10
# Nothing calls into the CUDA libraries by name: they register themselves once they are loaded.
ifneq ($(TORCH_CUDA),)
TORCH_LINK += -Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed
endif

# g++ 13 and 14 take a reference that a function returns for one into its temporary arguments: too often wrong.
COMMON_FLAGS = -std=c++17 -Wall -Wextra -Wno-dangling-reference $(if $(TORCH_CUDA),-DCSP_LIBTORCH_CUDA) $(if $(filter-out 0,$(WERROR)),-Werror) -fPIC \
	-D_GLIBCXX_USE_CXX11_ABI=$(CXX11_ABI) -Isrc
# PostgreSQL 15 does not mark what a module must export: there src/exports.map alone hides the rest.
HIDDEN = -fvisibility=hidden -fvisibility-inlines-hidden

# room_flags: what one object gets beyond the common flags.
$(ENCODER_OBJS) $(OPTIONS_OBJS) $(ENCODER_TEST_OBJS) $(ENCODER_BENCH_OBJS): private room_flags = $(HIDDEN) $(PLAIN_CPPFLAGS)
$(TORCH_OBJS) $(TRAINING_TEST_OBJS) $(TORCH_BENCH_OBJS): private room_flags = $(HIDDEN) $(PLAIN_CPPFLAGS) $(TORCH_CPPFLAGS)
$(POSTGRES_OBJS): private room_flags = $(CPPFLAGS) -isystem $(includedir_server) -DCSP_EXT_VERSION='"$(EXTVERSION)"'
$(ENCODER_TEST_OBJS) $(TRAINING_TEST_OBJS): private room_flags += -DCSP_TEST_DATA='"$(CURDIR)/test/unit/data"' \
	-DCSP_TEST_LIBRARIES='"$(CURDIR)/build"'
kernel_flags =
src/encoder/kernel_%.o: private kernel_flags = -O3
src/training/score_kernels.o src/training/row_kernels.o src/training/random.o: private kernel_flags = -O3 -fno-math-errno -fno-trapping-math
src/training/feature_packing.o src/training/evaluation_outcome.o: private kernel_flags = -O3
ifeq ($(ARCHITECTURE),x86_64)
src/encoder/kernel_avx2.o: private kernel_flags = -O3 -mavx2 -mfma
src/encoder/kernel_avx512.o: private kernel_flags = -O3 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma
endif

# ---- build ----------------------------------------------------------------------------------------------------

.PHONY: check-dependencies FORCE
check-dependencies:
	@CXX='$(CXX)' tools/check_dependencies.sh

# Everything that goes into the objects but their sources: a change (another LIBTORCH=, say) compiles all again.
# Not WERROR, which changes no object.
build/flags: FORCE
	@mkdir -p build
	@echo '$(CXX) $(CXXFLAGS) $(filter-out -Werror,$(COMMON_FLAGS)) $(CPPFLAGS) $(TORCH_CPPFLAGS) $(EXTVERSION)' >build/flags.new
	@cmp -s build/flags.new $@ && rm build/flags.new || mv build/flags.new $@

$(ALL_OBJS): %.o: %.cpp build/flags | check-dependencies
	$(CXX) $(CXXFLAGS) $(COMMON_FLAGS) $(room_flags) $(kernel_flags) -MMD -MP -c -o $@ $<

-include $(ALL_OBJS:.o=.d)

all: csp_train.so
csp_ext.so: src/exports.map
csp_train.so: $(TRAINING_OBJS) $(ENCODER_OBJS) src/exports.map
	$(CXX) $(CXXFLAGS) -shared -o $@ $(filter %.o,$^) $(LDFLAGS) $(LDFLAGS_SL) \
		-Wl,--version-script=src/exports.map -Wl,-z,defs $(TORCH_LINK)

# One file a subject in sql/, in the order of their names.
$(INSTALL_SCRIPT_SQL): csp_ext.control FORCE
	@mkdir -p build
	@{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	   for file in $(sort $(wildcard sql/*.sql)); do echo; cat "$$file"; done; } >build/install.sql
	@cmp -s build/install.sql $@ && rm build/install.sql || mv build/install.sql $@

# sql/upgrade/FROM--TO/: the pieces in the order of their names, and where they say "-- include FILE", a file that is new since FROM.
$(UPDATE_SCRIPTS_SQL): $(EXTENSION)--%.sql: FORCE
	@mkdir -p build
	@{ printf '%s\n' '\echo Use "ALTER EXTENSION $(EXTENSION) UPDATE" to load this file. \quit'; \
	   awk 'FNR == 1 { print "" } $$1 " " $$2 == "-- include" { file = $$3; while ((found = (getline < file)) > 0) print; \
		if (found < 0) { print FILENAME ": no file " file >"/dev/stderr"; exit 1 } next } { print }' \
		$(sort $(wildcard sql/upgrade/$*/*.sql)); } >build/update.sql
	@cmp -s build/update.sql $@ && rm build/update.sql || mv build/update.sql $@

install: install-train install-styles
uninstall: uninstall-train uninstall-styles
.PHONY: install-train uninstall-train install-styles uninstall-styles
install-train: csp_train.so installdirs-lib
	$(INSTALL_SHLIB) csp_train.so '$(DESTDIR)$(pkglibdir)/csp_train.so'
uninstall-train:
	rm -f '$(DESTDIR)$(pkglibdir)/csp_train.so'

# Styles for QGIS.
styledir = $(datadir)/csp_ext
install-styles: $(wildcard styles/*.qml)
	$(MKDIR_P) '$(DESTDIR)$(styledir)'
	$(INSTALL_DATA) $^ '$(DESTDIR)$(styledir)/'
uninstall-styles:
	rm -f $(addprefix '$(DESTDIR)$(styledir)'/,$(notdir $(wildcard styles/*.qml)))
	rmdir '$(DESTDIR)$(styledir)' 2>/dev/null || true

# ---- benchmark programs ---------------------------------------------------------------------------------------

.PHONY: bench-programs
bench-programs: $(BENCH_PROGRAMS)
$(patsubst bench/%.o,build/%,$(ENCODER_BENCH_OBJS)): build/%: bench/%.o $(ENCODER_OBJS)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDFLAGS)
$(patsubst bench/%.o,build/%,$(TORCH_BENCH_OBJS)): build/%: bench/%.o $(TRAINING_OBJS) $(ENCODER_OBJS)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDFLAGS) $(TORCH_LINK)

# ---- pictures of doc/encoders.md --------------------------------------------------------------------------------

# Needs zlib1g-dev, which nothing else here does.
.PHONY: encoder-pictures
encoder-pictures: build/draw_encodings
	mkdir -p doc/images
	build/draw_encodings doc/images
build/draw_encodings: tools/draw_encodings.cpp bench/encoding_samples.h $(ENCODER_OBJS)
	$(CXX) $(CXXFLAGS) $(COMMON_FLAGS) $(HIDDEN) $(PLAIN_CPPFLAGS) -o $@ $< $(ENCODER_OBJS) $(LDFLAGS) -lz

# ---- unit tests -----------------------------------------------------------------------------------------------

# Debian's libgtest has the new ABI; for the old one it is compiled from the sources that libgtest-dev brings.
ifeq ($(CXX11_ABI),0)
GTEST_LINK = build/gtest-all.o build/gtest_main.o
build/%.o: /usr/src/googletest/googletest/src/%.cc build/flags
	$(CXX) $(CXXFLAGS) -std=c++17 -D_GLIBCXX_USE_CXX11_ABI=0 -I/usr/src/googletest/googletest -c -o $@ $<
else
GTEST_LINK = -lgtest -lgtest_main
endif

build/encoder_test: $(ENCODER_TEST_OBJS) $(ENCODER_OBJS) $(filter %.o,$(GTEST_LINK))
	$(CXX) $(CXXFLAGS) -o $@ $(filter-out $(GTEST_LINK),$^) $(LDFLAGS) $(GTEST_LINK) -lpthread
build/training_test: $(TRAINING_TEST_OBJS) $(TRAINING_OBJS) $(ENCODER_OBJS) $(filter %.o,$(GTEST_LINK))
	$(CXX) $(CXXFLAGS) -o $@ $(filter-out $(GTEST_LINK),$^) $(LDFLAGS) $(GTEST_LINK) $(TORCH_LINK) -lpthread

# What the tests put in the place of, or before, parts of the system: faults, a training library that throws, a driver.
TEST_LIBRARIES = build/faults.so build/faulty_training.so build/host_cuda_driver.so
build/faults.so: test/faults/faults.c build/flags
	$(CC) -O2 -Wall -Wextra -fPIC -shared -o $@ $< -ldl
build/faulty_training.so: test/faults/faulty_training.cpp src/training/trainer.h src/training/options.h build/flags
	$(CXX) $(CXXFLAGS) $(COMMON_FLAGS) $(HIDDEN) -shared -o $@ $< -Wl,--version-script=src/exports.map -ldl
build/host_cuda_driver.so: test/unit/host_cuda_driver.cpp build/flags
	$(CXX) $(CXXFLAGS) $(COMMON_FLAGS) $(HIDDEN) -shared -o $@ $<

.PHONY: unit-tests test-unit
unit-tests: $(UNIT_TESTS) $(TEST_LIBRARIES)
test-unit: $(UNIT_TESTS) $(TEST_LIBRARIES)
	@for binary in $(UNIT_TESTS); do OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $$binary || exit 1; done

# Needs clang, which brings libFuzzer: build/fuzz_safetensors -max_total_time=60
.PHONY: fuzz-programs
fuzz-programs: $(patsubst test/unit/%.cpp,build/%,$(wildcard test/unit/fuzz_*.cpp))
build/fuzz_%: test/unit/fuzz_%.cpp $(ENCODER_OBJS:.o=.cpp)
	clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -Isrc -o $@ $^

endif
