// What tells PES PEs in lockstep to wait: their array advances unless one of them needs a further cycle.
module area_stall #(parameter PES = 2) (
    input clk,
    input rst,
    input [PES-1:0] stall,
    output reg phase,
    output advance
);
    assign advance = ~(|stall);
    always @(posedge clk) phase <= ~rst & ~advance;
endmodule
