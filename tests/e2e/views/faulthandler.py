# faulthandler comes and goes.
import faulthandler
import signal

faulthandler.enable()
faulthandler.register(signal.SIGUSR1)
faulthandler.dump_traceback_later(10)
faulthandler.cancel_dump_traceback_later()
print(faulthandler.is_enabled())
faulthandler.disable()
print(signal.getsignal(signal.SIGSEGV))
