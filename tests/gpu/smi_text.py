"""What nvidia-smi prints, written by hand after its documented forms: no capture of a real GPU."""

from __future__ import annotations

WHOLE = "GPU-11111111-2222-3333-4444-555555555555"
DIVIDED = "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

XML = f"""<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <timestamp>Tue Nov 25 01:00:00 2025</timestamp>
  <driver_version>550.90.07</driver_version>
  <cuda_version>12.4</cuda_version>
  <attached_gpus>2</attached_gpus>
  <gpu id="00000000:3B:00.0">
    <product_name>NVIDIA L40S</product_name>
    <mig_mode><current_mig>N/A</current_mig></mig_mode>
    <mig_devices>None</mig_devices>
    <uuid>{WHOLE}</uuid>
    <fan_speed>N/A</fan_speed>
    <pci><replay_counter>0</replay_counter></pci>
    <clocks_event_reasons>
      <clocks_event_reason_gpu_idle>Not Active</clocks_event_reason_gpu_idle>
      <clocks_event_reason_sw_power_cap>Active</clocks_event_reason_sw_power_cap>
      <clocks_event_reason_hw_thermal_slowdown>Active</clocks_event_reason_hw_thermal_slowdown>
    </clocks_event_reasons>
    <fb_memory_usage>
      <total>46068 MiB</total><reserved>600 MiB</reserved><used>40000 MiB</used><free>5468 MiB</free>
    </fb_memory_usage>
    <utilization><gpu_util>97 %</gpu_util><memory_util>41 %</memory_util></utilization>
    <ecc_errors><volatile><sram_correctable>0</sram_correctable><sram_uncorrectable_parity>1</sram_uncorrectable_parity>
      <sram_uncorrectable_secded>0</sram_uncorrectable_secded><dram_correctable>2</dram_correctable>
      <dram_uncorrectable>1</dram_uncorrectable></volatile></ecc_errors>
    <remapped_rows><remapped_row_corr>0</remapped_row_corr><remapped_row_unc>1</remapped_row_unc>
      <remapped_row_pending>Yes</remapped_row_pending><remapped_row_failure>No</remapped_row_failure></remapped_rows>
    <temperature><gpu_temp>64 C</gpu_temp><memory_temp>N/A</memory_temp></temperature>
    <gpu_power_readings><power_draw>312.50 W</power_draw><current_power_limit>350.00 W</current_power_limit></gpu_power_readings>
    <clocks><sm_clock>2520 MHz</sm_clock><mem_clock>9001 MHz</mem_clock></clocks>
    <processes>
      <process_info><gpu_instance_id>N/A</gpu_instance_id><compute_instance_id>N/A</compute_instance_id>
        <pid>4242</pid><type>C</type><process_name>/usr/bin/python3 train.py --lr=0,5, --gpus 1</process_name>
        <used_memory>39000 MiB</used_memory></process_info>
      <process_info><pid>[N/A]</pid><type>C</type><process_name>ghost</process_name></process_info>
    </processes>
  </gpu>
  <gpu id="00000000:86:00.0">
    <product_name>NVIDIA A100-SXM4-40GB</product_name>
    <mig_mode><current_mig>Enabled</current_mig></mig_mode>
    <mig_devices>
      <mig_device><index>0</index><gpu_instance_id>7</gpu_instance_id><compute_instance_id>0</compute_instance_id>
        <fb_memory_usage><total>4864 MiB</total><reserved>0 MiB</reserved><used>1203 MiB</used><free>3661 MiB</free></fb_memory_usage></mig_device>
      <mig_device><index>1</index><gpu_instance_id>9</gpu_instance_id><compute_instance_id>0</compute_instance_id>
        <fb_memory_usage><total>4864 MiB</total><used>[Insufficient Permissions]</used><free>N/A</free></fb_memory_usage></mig_device>
    </mig_devices>
    <uuid>{DIVIDED}</uuid>
    <clocks_throttle_reasons><clocks_throttle_reason_gpu_idle>Active</clocks_throttle_reason_gpu_idle></clocks_throttle_reasons>
    <fb_memory_usage><total>40960 MiB</total><used>1210 MiB</used><free>39750 MiB</free></fb_memory_usage>
    <utilization><gpu_util>N/A</gpu_util><memory_util>N/A</memory_util></utilization>
    <temperature><gpu_temp>33 C</gpu_temp></temperature>
    <power_readings><power_draw>Unknown Error</power_draw><power_limit>400.00 W</power_limit></power_readings>
    <processes>
      <process_info><gpu_instance_id>7</gpu_instance_id><compute_instance_id>0</compute_instance_id>
        <pid>4343</pid><type>C</type><process_name>tritonserver</process_name><used_memory>1190 MiB</used_memory></process_info>
    </processes>
  </gpu>
</nvidia_smi_log>
"""

GPUS_CSV = f"""0, {WHOLE}, 00000000:3B:00.0, 550.90.07, 97, 41, 40000, 5468, 46068, 64, 312.50, 350.00, 2520, 9001, [N/A], NVIDIA L40S
1, {DIVIDED}, 00000000:86:00.0, 550.90.07, [N/A], [Not Supported], 1210, 39750, 40960, 33, [Unknown Error], 400.00, 210, 1215, [N/A], NVIDIA A100, of a name, with commas
this is no line of it
2, no-uuid, x, y
"""

PROCESSES_CSV = f"""{WHOLE}, 4242, 39000, /usr/bin/python3 train.py --lr=0,5, --gpus 1
{DIVIDED}, 4343, [N/A], [Not Found]
{WHOLE}, [N/A], 12, ghost
No running processes found
"""


def cgroup_v2(pid: int, uid: str, container: int = 0) -> str:
    unit = uid.replace("-", "_")
    return f"/proc/{pid}/cgroup:0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{unit}.slice/crio-{container:064x}.scope\n"


def cgroup_v1(pid: int, uid: str, container: int = 0) -> str:
    return f"/proc/{pid}/cgroup:11:memory:/kubepods/burstable/pod{uid}/{container:064x}\n/proc/{pid}/cgroup:1:name=systemd:/\n"
