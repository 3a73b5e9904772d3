"""`Output` of ipywidgets in a few lines, on its protocol: what the kernel image has no package for.

Like the real one it has on the kernel's side nothing but `msg_id`; who shows it puts the outputs in. `SHOWN` is a cell
that prints what is in the widgets `out` and `inner`.
"""

CLASS = """
import json, sys, threading
from comm import create_comm
from IPython.display import HTML, clear_output, display
class Output:
    def __init__(self, **state):
        self.outputs, self.msg_id, self.depth = [], '', 0
        named = {'_model_name': 'OutputModel', '_model_module': '@jupyter-widgets/output', 'layout': 'IPY_MODEL_1'}
        state = {**named, 'msg_id': '', 'outputs': []}
        self.comm = create_comm(target_name='jupyter.widget', data={'state': state, 'buffer_paths': []})
        self.comm.on_msg(self.hear)
    def hear(self, message):
        data = message['content']['data']
        if data['method'] == 'request_state':
            self.say(outputs=self.outputs, msg_id=self.msg_id)
        elif data['method'] == 'update':
            self.outputs = data['state']['outputs']
            self.say('echo_update', outputs=self.outputs)
        else:
            with self: print('clicked')
    def say(self, method='update', **state):
        self.comm.send({'method': method, 'state': state, 'buffer_paths': []})
    def name(self, msg_id):
        if msg_id != self.msg_id:
            self.msg_id = msg_id
            self.say(msg_id=msg_id)
    def flush(self):
        sys.stdout.flush(); sys.stderr.flush()
    def __enter__(self):
        self.flush()
        self.name(get_ipython().kernel.get_parent()['header']['msg_id'])
        self.depth += 1
    def __exit__(self, *error):
        if error[0] is not None:
            get_ipython().showtraceback(error, tb_offset=0)
        self.flush()
        self.depth -= 1
        if not self.depth:
            self.name('')
        return True
    def clear_output(self, **options):
        with self: clear_output(**options)
    def append_stdout(self, text):
        self.outputs = [*self.outputs, {'output_type': 'stream', 'name': 'stdout', 'text': text}]
        self.say(outputs=self.outputs)
out, inner = Output(), Output()
"""
SHOWN = "print(json.dumps([out.outputs, inner.outputs], sort_keys=True))"
