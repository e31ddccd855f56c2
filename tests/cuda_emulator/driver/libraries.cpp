/* Libraries of kernels: PTX text, which Python makes a shared object of, see plugin.py. */
#include "api.h"

#include <cstring>
#include <cxxabi.h>
#include <dlfcn.h>
#include <memory>
#include <vector>

struct Library {
  const EmuLibrary *code;
  std::vector<std::unique_ptr<Kernel>> kernels;
};

/* Write the path of a shared object for a PTX text to a place of this size and return 0, or why there is none and 1. */
using Compiler = int (*)(const char *ptx, char *path, size_t size);

static Compiler compiler;

EXPORT void emulator_set_compiler(Compiler function) { compiler = function; }

/* "package::module::function" of what C++ and Numba make of a name: Numba's options and the arguments are left out. */
static std::string readable(const char *mangled) {
  int status = 0;
  char *plain = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = status ? mangled : plain;
  free(plain);
  name = name.substr(0, name.find_first_of("[("));
  for (const char *noise : {"cudapy::", "_3clocals_3e::"}) {
    for (size_t at; (at = name.find(noise)) != std::string::npos;) name.erase(at, strlen(noise));
  }
  return name;
}

static Result load(Library **library, const void *image) {
  if (current_context() && context_error()) return context_error();
  const char *ptx = static_cast<const char *>(image);
  if (!strncmp(ptx, "\x7f""ELF", 4) || !compiler) {
    report("image", "a library is no PTX text: machine code of a GPU does not run here");
    return INVALID_IMAGE;
  }
  char path[4096];
  if (compiler(ptx, path, sizeof path)) {
    report(path, path);
    return INVALID_IMAGE;
  }
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  auto code = object ? static_cast<const EmuLibrary *>(dlsym(object, "emu_library")) : nullptr;
  if (!code || code->version != EMU_VERSION) {
    report("image", text("%s does not load: %s", path, object ? "another version" : dlerror()));
    return INVALID_IMAGE;
  }
  *library = new Library{code, {}};
  for (uint32_t i = 0; i < code->kernel_count; i++) {
    const EmuKernel *kernel = &code->kernels[i];
    uint32_t plain = kernel->dynamic_shared < PLAIN_SHARED ? PLAIN_SHARED - kernel->dynamic_shared : 0;
    (*library)->kernels.emplace_back(new Kernel{kernel, code, readable(kernel->name), plain});
  }
  for (uint32_t i = 0; i < code->variable_count; i++) {
    const EmuVariable &variable = code->variables[i];
    add_variable(variable.address, variable.bytes, variable.constant);
  }
  return SUCCESS;
}

EXPORT Result cuLibraryLoadData(Library **library, const void *image, void *, void *, unsigned, void *, void *,
                                unsigned) {
  return load(library, image);
}
EXPORT Result cuModuleLoadData(Library **library, const void *image) { return load(library, image); }
EXPORT Result cuModuleLoadDataEx(Library **library, const void *image, unsigned, void *, void *) {
  return load(library, image);
}

/* Objects stay: kernels of them may still be known. */
EXPORT Result cuLibraryUnload(Library *) { return SUCCESS; }
EXPORT Result cuModuleUnload(Library *) { return SUCCESS; }
EXPORT Result cuLibraryGetModule(Library **module, Library *library) {
  *module = library;
  return SUCCESS;
}

EXPORT Result cuLibraryGetKernel(Kernel **found, Library *library, const char *name) {
  for (auto &kernel : library->kernels) {
    if (!strcmp(kernel->code->name, name)) {
      *found = kernel.get();
      return SUCCESS;
    }
  }
  return NOT_FOUND;
}
EXPORT Result cuModuleGetFunction(Kernel **kernel, Library *library, const char *name) {
  return cuLibraryGetKernel(kernel, library, name);
}
EXPORT Result cuKernelGetFunction(Kernel **function, Kernel *kernel) {
  *function = kernel;
  return SUCCESS;
}
EXPORT Result cuKernelGetName(const char **name, Kernel *kernel) {
  *name = kernel->code->name;
  return SUCCESS;
}

EXPORT Result cuLibraryGetGlobal(uint64_t *address, size_t *bytes, Library *library, const char *name) {
  for (uint32_t i = 0; i < library->code->variable_count; i++) {
    const EmuVariable &variable = library->code->variables[i];
    if (strcmp(variable.name, name)) continue;
    if (address) *address = reinterpret_cast<uint64_t>(variable.address);
    if (bytes) *bytes = variable.bytes;
    return SUCCESS;
  }
  return NOT_FOUND;
}
EXPORT Result cuModuleGetGlobal_v2(uint64_t *address, size_t *bytes, Library *library, const char *name) {
  return cuLibraryGetGlobal(address, bytes, library, name);
}

/* By their numbers in CUfunction_attribute. */
enum { MAX_THREADS = 0, SHARED_BYTES = 1, LOCAL_BYTES = 3, REGISTERS = 4, MAX_DYNAMIC_SHARED = 8 };

EXPORT Result cuKernelGetAttribute(int *value, int attribute, Kernel *kernel, int) {
  const EmuKernel *code = kernel->code;
  switch (attribute) {
    case MAX_THREADS: *value = int(code->max_threads ? code->max_threads : MOST_THREADS); break;
    case SHARED_BYTES: *value = int(code->static_shared); break;
    case LOCAL_BYTES: *value = int(code->local); break;
    case REGISTERS: *value = 64; break;  /* unknown here: ptxas gives them */
    case MAX_DYNAMIC_SHARED: *value = int(kernel->most_dynamic); break;
    default: *value = 0;
  }
  return SUCCESS;
}
EXPORT Result cuFuncGetAttribute(int *value, int attribute, Kernel *kernel) {
  return cuKernelGetAttribute(value, attribute, kernel, 0);
}
EXPORT Result cuKernelSetAttribute(int attribute, int value, Kernel *kernel, int) {
  if (attribute != MAX_DYNAMIC_SHARED) return SUCCESS;
  if (value < 0 || kernel->code->dynamic_shared + uint32_t(value) > model->most_shared) return INVALID_VALUE;
  kernel->most_dynamic = uint32_t(value);
  return SUCCESS;
}
EXPORT Result cuFuncSetAttribute(Kernel *kernel, int attribute, int value) {
  return cuKernelSetAttribute(attribute, value, kernel, 0);
}
EXPORT Result cuKernelSetCacheConfig(Kernel *, int, int) { return SUCCESS; }

EXPORT Result cuKernelGetParamInfo(Kernel *kernel, size_t index, size_t *offset, size_t *bytes) {
  if (index >= kernel->code->parameter_count) return INVALID_VALUE;
  if (offset) *offset = kernel->code->parameters[index].offset;
  if (bytes) *bytes = kernel->code->parameters[index].bytes;
  return SUCCESS;
}
EXPORT Result cuFuncGetParamInfo(Kernel *kernel, size_t index, size_t *offset, size_t *bytes) {
  return cuKernelGetParamInfo(kernel, index, offset, bytes);
}

/* The driver's CUlaunchConfig and CUlaunchAttribute. */
struct Attribute {
  int id;
  char padding[4];
  uint32_t value[16];
};
struct Config {
  uint32_t grid[3], block[3], dynamic;
  void *stream;
  const Attribute *attributes;
  uint32_t count;
};
enum { COOPERATIVE = 2, CLUSTER = 4 };

static Result launch_on(Kernel *kernel, const Sizes &sizes, void *stream, void **parameters) {
  Context *context = current_context();
  if (Result dead = context_error()) return dead;
  if (Result wrong = check_stream(stream)) return wrong;
  Result result = launch_kernel(*kernel, sizes, parameters, context->device);
  if (result >= ILLEGAL_ADDRESS) context->error = result;  /* as on a GPU: nothing works after it */
  return result;
}

EXPORT Result cuLaunchKernelEx(const Config *config, Kernel *kernel, void **parameters, void **) {
  for (uint32_t i = 0; i < config->count; i++) {
    const Attribute &attribute = config->attributes[i];
    const uint32_t *value = attribute.value;
    bool cluster = attribute.id == CLUSTER && value[0] * value[1] * value[2] > 1;
    if (cluster || (attribute.id == COOPERATIVE && value[0])) {
      report("together", kernel->name + ": its blocks must run at the same time; here they run one after the other");
      return NOT_SUPPORTED;
    }
  }
  const uint32_t *grid = config->grid, *block = config->block;
  Sizes sizes{{grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, config->dynamic};
  return launch_on(kernel, sizes, config->stream, parameters);
}
EXPORT Result cuLaunchKernel(Kernel *kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned x, unsigned y,
                             unsigned z, unsigned dynamic, void *stream, void **parameters, void **) {
  return launch_on(kernel, {{grid_x, grid_y, grid_z}, {x, y, z}, dynamic}, stream, parameters);
}
