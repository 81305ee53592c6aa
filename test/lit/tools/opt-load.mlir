// RUN: swkpu-opt %s --load %S/Inputs/extension.py -p 'extra-stamp{text=ab times=2}' | filecheck %s
// RUN: swkpu-opt --load %S/Inputs/extension.py --list-passes | filecheck %s --check-prefix=LIST
// RUN: not swkpu-opt %s -p extra-stamp 2>&1 | filecheck %s --check-prefix=WITHOUT
// RUN: not swkpu-opt %s --load %S/Inputs/extension.py -p 'extra-stamp{text=a times=many}' 2>&1 | filecheck %s --check-prefix=TYPE
// RUN: not swkpu-opt %s --load %S/Inputs/nothing.py 2>&1 | filecheck %s --check-prefix=MISSING

// CHECK: builtin.module attributes {stamp = "abab"} {
// LIST:      extra-stamp
// LIST-NEXT:     Stamp the module with a text, some times over.
// LIST-NEXT:     text=  text, required
// LIST-NEXT:     times=  a whole number, default 1
// WITHOUT: error: unknown pass 'extra-stamp'
// TYPE: error: option 'times' of pass extra-stamp takes a whole number, got many
// MISSING: error: cannot load {{.*}}nothing.py: No such file or directory

// A bug in a pass names the pass, and shows no traceback unless one asks.
// RUN: not swkpu-opt %s --load %S/Inputs/extension.py -p extra-crash 2>&1 | filecheck %s --check-prefix=CRASH
// RUN: not swkpu-opt %s --load %S/Inputs/extension.py -p extra-crash --debug 2>&1 | filecheck %s --check-prefix=DEBUG
// CRASH-NOT: Traceback
// CRASH: error: internal error in pass extra-crash: KeyError: 'lost'
// CRASH-NEXT: note: this is a bug{{.*}}; --debug shows where it happened
// DEBUG: Traceback
// DEBUG: error: internal error in pass extra-crash

// So does a pass that leaves something invalid.
// RUN: not swkpu-opt %s --load %S/Inputs/extension.py -p extra-break 2>&1 | filecheck %s --check-prefix=BREAK
// BREAK-NOT: Traceback
// BREAK: error: pass extra-break made a module that does not verify: 'nn.relu' op
// BREAK: "nn.relu"(%x) : (tensor<4xf32>) -> f32
func.func @main(%x: tensor<4xf32>) {
  %0 = nn.relu %x : tensor<4xf32>
  func.return
}
