# The arguments.
import sys

print(sys.argv[1:], sys.orig_argv[2:] if hasattr(sys, 'orig_argv') else 0)
