# A limit on file sizes kills nobody.
# expect: ok
import resource

from head import busy

resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000))
busy(.05)
print('ok')
